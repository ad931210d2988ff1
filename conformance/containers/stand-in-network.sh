#!/usr/bin/env bash
# stand-in-network.sh COMMAND…: runs a command where there is no network but loopback, and where commonwl.org is a
# server of our own that answers every request with an empty page. For the one test of the suites that wants to reach
# the Internet: it then says that a tool with NetworkAccess reaches what the machine reaches, and no more than that.
# Needs root. Images must be there already. --inside COMMAND…: where there is such a network already, without mounts that
# others see (docker.sh run).
set -euo pipefail
if [ "${1:-}" != --inside ]; then
    exec unshare --net --mount "$0" --inside "$@"
fi
shift
folder=$(mktemp -d)
trap 'kill "$server" 2>/dev/null; umount /etc/hosts; rm -rf "$folder"' EXIT
ip link set lo up
printf '127.0.0.1 localhost commonwl.org\n' >"$folder/hosts"
mount --bind "$folder/hosts" /etc/hosts
: >"$folder/index.html"
python3 -m http.server --bind 127.0.0.1 --directory "$folder" 80 >/dev/null 2>&1 &
server=$!
for _ in $(seq 100); do
    (: >/dev/tcp/127.0.0.1/80) 2>/dev/null && break
    sleep 0.1
done
"$@"
