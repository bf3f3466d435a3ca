#!/bin/sh
# Runs haproxy in the foreground whatever its configuration says (-db).
set -eu

case "${1:-}" in
-*) set -- haproxy "$@" ;;
esac
if [ "${1:-}" = haproxy ]; then
    shift
    set -- haproxy -db "$@"
fi
exec "$@"
