#!/usr/bin/env bash
# A registry on a loopback address. registry.sh start | status | stop | configure HOME
#   start          starts it, unless it answers already; its contents and log are in the cache folder
#   status         whether one answers, as exit code
#   stop           ends the one that start began
#   configure HOME makes engines that run with this home directory take images of docker.io and quay.io from it
set -euo pipefail
cache=${MOIL_CONTAINER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/moil/containers}
address=${MOIL_REGISTRY:-127.0.0.1:${MOIL_REGISTRY_PORT:-5000}}

answers() {
    [[ $(skopeo inspect --raw --tls-verify=false "docker://$address/nothing" 2>&1) == *"manifest unknown"* ]]
}

start() {
    mkdir -p "$cache/registry"
    answers && return 0
    cat >"$cache/registry.yml" <<END
version: 0.1
log: {accesslog: {disabled: false}, level: info}
storage: {filesystem: {rootdirectory: $cache/registry}, delete: {enabled: true}}
http: {addr: "$address"}
END
    setsid docker-registry serve "$cache/registry.yml" >>"$cache/registry.log" 2>&1 </dev/null &
    echo $! >"$cache/registry.pid"
    for _ in $(seq 100); do
        answers && return 0
        sleep 0.1
    done
    echo "the registry does not answer at $address; see $cache/registry.log" >&2
    return 1
}

stop() {
    local pid
    pid=$(cat "$cache/registry.pid" 2>/dev/null) || return 0
    # The number may have gone to another process since.
    if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = docker-registry ]; then
        kill "$pid"
    fi
    rm -f "$cache/registry.pid"
}

# Apptainer asks only the first mirror for layers; "location" is what skopeo and podman go to.
configure() {
    local registry
    mkdir -p "$1/.config/containers"
    for registry in docker.io quay.io; do
        cat <<END
[[registry]]
prefix = "$registry"
location = "$address"
insecure = true
[[registry.mirror]]
location = "$address"
insecure = true
END
    done >"$1/.config/containers/registries.conf"
    printf '[[registry]]\nlocation = "%s"\ninsecure = true\n' "$address" >>"$1/.config/containers/registries.conf"
}

case ${1-} in
start) start ;;
status) answers ;;
stop) stop ;;
configure) configure "${2:?which home directory?}" ;;
*)
    echo "usage: $0 start | status | stop | configure HOME" >&2
    exit 2
    ;;
esac
