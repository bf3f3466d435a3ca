#!/bin/sh
# Runs valkey-server as its own user in /data. Like the official image it serves the network without a password
# unless the configuration says otherwise.
set -eu

case "${1:-}" in
-* | *.conf | '') set -- valkey-server "$@" ;;
esac
[ "$1" = valkey-server ] || exec "$@"

shift
config=
case "${1:-}" in
*.conf) config=$1 ;;
esac
case "$* $(cat ${config:+"$config"} </dev/null)" in
*protected-mode*) ;;
*) set -- "$@" --protected-mode no ;;
esac

if [ "$(id -u)" = 0 ]; then
    find . \! -user valkey -exec chown valkey: {} +
    exec setpriv --reuid=valkey --regid=valkey --init-groups valkey-server "$@"
fi
exec valkey-server "$@"
