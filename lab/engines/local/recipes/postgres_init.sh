#!/bin/sh
# Makes a PostgreSQL cluster in $PGDATA, as the image's entry point does the first time.
#   POSTGRES_PASSWORD          required, unless POSTGRES_HOST_AUTH_METHOD=trust
#   POSTGRES_USER, POSTGRES_DB superuser (postgres) and database (as the user) to create
#   POSTGRES_INITDB_ARGS       further arguments of initdb
#   LAB_INIT_FILES             folder of *.sh, *.sql and *.sql.gz, run once, in order of their names
# Arguments are further arguments of initdb.
set -eu

user=${POSTGRES_USER:-postgres}
database=${POSTGRES_DB:-$user}
method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
if [ -z "${POSTGRES_PASSWORD:-}" ] && [ "$method" != trust ]; then
    echo 'error: set POSTGRES_PASSWORD, or POSTGRES_HOST_AUTH_METHOD=trust to allow all' >&2
    exit 1
fi

# In /tmp: a Unix socket's path is at most 107 bytes long, and a run's folder may be deeper.
PGHOST=$(TMPDIR=/tmp mktemp -d)
export PGHOST
trap 'pg_ctl stop --silent --mode immediate >/dev/null 2>&1 || :; rm -rf "$PGHOST"' EXIT
unset PGPORT

printf '%s\n' "${POSTGRES_PASSWORD:-}" >"$PGHOST/password"
[ -z "${POSTGRES_PASSWORD:-}" ] || set -- --pwfile="$PGHOST/password" "$@"
# The image trusts its own loopback; here everyone comes from there, so that rule is for them all.
# shellcheck disable=SC2086  # several arguments in one variable, as the official image has it
initdb --no-sync --encoding=UTF8 --auth-local=trust --auth-host="$method" --username="$user" "$@" \
    ${POSTGRES_INITDB_ARGS:-} >/dev/null
rm "$PGHOST/password"
printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"

psql_init() {
    psql --set ON_ERROR_STOP=1 --no-password --no-psqlrc --quiet --username "$user" --dbname "$database"
}

# fsync only costs time here: a machine that crashes now has no data to lose yet.
pg_ctl start --wait --silent --log "$PGHOST/log" \
    -o "-c listen_addresses='' -c unix_socket_directories=$PGHOST -c fsync=off" || {
    cat "$PGHOST/log" >&2
    exit 1
}
[ "$database" = postgres ] || createdb --username "$user" --maintenance-db postgres "$database"
for file in "${LAB_INIT_FILES:-/nowhere}"/*; do
    [ -e "$file" ] && echo "running ${file##*/}"
    case "$file" in
    *.sql) psql_init <"$file" ;;
    *.sql.gz) gunzip -c "$file" | psql_init ;;
    *.sh)
        POSTGRES_USER=$user POSTGRES_DB=$database
        export POSTGRES_USER POSTGRES_DB
        if [ -x "$file" ]; then "$file"; else sh -e "$file"; fi
        ;;
    esac
done
pg_ctl stop --wait --silent --mode fast
