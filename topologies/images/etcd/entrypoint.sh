#!/bin/sh
# Starts etcd as member `etcd-2` of `etcd-1`, `etcd-2`, ... `etcd-$MEMBERS`: names are those of the replicas of a service.
# Whatever else etcd can be told, it reads from ETCD_... in its environment and from its arguments.
set -eu

case "${1:-}" in
-* | '') set -- etcd "$@" ;;
esac
[ "$1" = etcd ] || exec "$@"
shift

host=$(hostname)
service=${host%-*}
members=
number=1
while [ "$number" -le "${MEMBERS:-1}" ]; do
    members="$members${members:+,}$service-$number=http://$service-$number:2380"
    number=$((number + 1))
done
exec etcd --name "$host" \
    --listen-client-urls http://0.0.0.0:2379 --advertise-client-urls "http://$host:2379" \
    --listen-peer-urls http://0.0.0.0:2380 --initial-advertise-peer-urls "http://$host:2380" \
    --initial-cluster "$members" --initial-cluster-state new "$@"
