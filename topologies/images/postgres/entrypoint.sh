#!/bin/sh
# Starts PostgreSQL; the first time, makes the cluster that the environment asks for. As in the official image:
#   POSTGRES_PASSWORD          required, unless POSTGRES_HOST_AUTH_METHOD=trust
#   POSTGRES_USER, POSTGRES_DB superuser (postgres) and database (as the user) to create
#   POSTGRES_INITDB_ARGS       further arguments of initdb
#   /docker-entrypoint-initdb.d/*.sh, *.sql, *.sql.gz   run once, in order of their names
set -eu

case "${1:-}" in
-* | '') set -- postgres "$@" ;;
esac
[ "$1" = postgres ] || exec "$@"
case "${2:-}" in
--version | -V | --help | -\? | --describe-config) exec "$@" ;;
esac

sockets=/var/run/postgresql
if [ "$(id -u)" = 0 ]; then
    # Made at every start: /run may be a tmpfs that is empty again.
    install -d -o postgres -g postgres -m 3777 "$sockets"
    install -d -o postgres -g postgres -m 700 "$PGDATA"
    find "$PGDATA" \! -user postgres -exec chown postgres: {} +
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

user=${POSTGRES_USER:-postgres}
database=${POSTGRES_DB:-$user}

create_cluster() {
    method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
    if [ -z "${POSTGRES_PASSWORD:-}" ] && [ "$method" != trust ]; then
        echo 'error: set POSTGRES_PASSWORD, or POSTGRES_HOST_AUTH_METHOD=trust to allow all' >&2
        exit 1
    fi
    password_file=$(mktemp)
    printf '%s\n' "${POSTGRES_PASSWORD:-}" >"$password_file"
    # shellcheck disable=SC2086  # several arguments in one variable, as the official image has it
    set -- ${POSTGRES_INITDB_ARGS:-}
    [ -z "${POSTGRES_PASSWORD:-}" ] || set -- --pwfile="$password_file" "$@"
    initdb --no-sync --username="$user" "$@" >/dev/null
    rm "$password_file"
    printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"
}

run_init_files() {
    for file in /docker-entrypoint-initdb.d/*; do
        [ -e "$file" ] && echo "running $file"
        case "$file" in
        *.sql) psql_init <"$file" ;;
        *.sql.gz) gunzip -c "$file" | psql_init ;;
        *.sh) if [ -x "$file" ]; then "$file"; else sh -e "$file"; fi ;;
        esac
    done
}

psql_init() {
    psql --set ON_ERROR_STOP=1 --no-password --no-psqlrc --quiet --username "$user" --dbname "$database"
}

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    create_cluster
    # Not the usual socket folder: a healthcheck must not take this server, soon to stop, for the real one.
    PGHOST=$(mktemp -d)
    export PGHOST
    # fsync only costs time here: a machine that crashes now has no data to lose yet.
    pg_ctl start --wait --silent -o "-c listen_addresses='' -c unix_socket_directories=$PGHOST -c fsync=off"
    [ "$database" = postgres ] || createdb --username "$user" --maintenance-db postgres "$database"
    POSTGRES_USER=$user POSTGRES_DB=$database run_init_files
    pg_ctl stop --wait --silent --mode fast
    rm -rf "$PGHOST"
    unset PGHOST
fi

# No server of this container can be alive yet. What a killed one left behind would block this one whenever
# another process happens to have its number.
rm -f "$PGDATA/postmaster.pid" "$sockets"/.s.PGSQL.*
exec "$@"
