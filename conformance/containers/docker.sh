#!/usr/bin/env bash
# Docker for tests. docker.sh install | run COMMAND… | run-afresh COMMAND…
#   install        unpacks it from Debian's packages into the cache folder; nothing of it is installed. Idempotent
#   run COMMAND…   runs a command beside a daemon, with its client in PATH and DOCKER_HOST set. Needs root
#   run-afresh COMMAND…   the same without images at the beginning, and with none left at the end
# Daemon and command share namespaces of their own: a network with only a loopback address and Docker's bridge, mounts,
# processes, a host name. So nothing of the machine is changed, and nothing is left when the command ends or this
# script is killed. Images and layers stay in the cache folder; one daemon uses them at a time, others wait.
# If registry.sh has been started before, its images are served there as well, also under the names of docker.io.
set -euo pipefail
cache=${MOIL_CONTAINER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/moil/containers}
unpacked=$cache/docker
port=${MOIL_REGISTRY_PORT:-5000}

install() {
    local work
    if [ ! -x "$unpacked/usr/sbin/dockerd" ]; then
        work=$(mktemp -d)
        chmod 755 "$work"
        apt-get -qq -o DPkg::Lock::Timeout=600 update
        (cd "$work" && apt-get -qq -o APT::Sandbox::User=root download docker.io containerd runc libdevmapper1.02.1)
        for package in "$work"/*.deb; do dpkg-deb -x "$package" "$work/root"; done
        rm -rf "$unpacked"
        mkdir -p "$cache"
        mv "$work/root" "$unpacked"
        rm -rf "$work"
    fi
    if ! command -v iptables >/dev/null; then
        echo "installing: iptables"
        DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 install -y --no-install-recommends iptables \
            >/dev/null
    fi
    unpacked dockerd --version
}

# The daemon and what it starts find each other.
unpacked() {
    PATH=$unpacked/usr/sbin:$unpacked/usr/bin:$PATH LD_LIBRARY_PATH=$unpacked/lib/x86_64-linux-gnu "$@"
}

# run DATA COMMAND…: DATA is where the daemon keeps images; - is nowhere.
run() {
    [ -x "$unpacked/usr/sbin/dockerd" ] || { echo "$0 install goes before" >&2; return 1; }
    state=$(mktemp -d)
    chmod 755 "$state"
    if [ "$1" = - ]; then
        set -- "$state/data" "${@:2}"
    else
        exec 9>"$cache/docker.lock"
        flock 9
    fi
    # It ends with us, and all that is below it with it: its child is the first process of a namespace.
    setpriv --pdeathsig KILL unshare --net --mount --uts --pid --fork --kill-child --mount-proc \
        "$BASH" "${BASH_SOURCE[0]}" --inside "$state" "$@" <&0 &
    inside=$!
    trap 'kill -KILL "$inside" 2>/dev/null || true; rm -rf "$state"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    status=0
    wait "$inside" || status=$?
    trap 'rm -rf "$state"' EXIT
    return "$status"
}

# The first process of the namespaces. inside STATE DATA COMMAND…
inside() {
    local state=$1 data=$2 daemon options status=0
    shift 2
    hostname moil-docker
    ip link set lo up
    # The daemon refuses a mixture of both versions of cgroups.
    umount /sys/fs/cgroup/unified 2>/dev/null || true
    options=()
    if [ -f "$cache/registry.yml" ]; then
        docker-registry serve "$cache/registry.yml" >"$state/registry.log" 2>&1 &
        options=(--registry-mirror "http://127.0.0.1:$port")
    fi
    unpacked dockerd --data-root "$data" --exec-root "$state/exec" --pidfile "$state/pid" \
        --host "unix://$state/socket" "${options[@]}" >"$state/log" 2>&1 &
    daemon=$!
    export PATH=$unpacked/usr/bin:$PATH DOCKER_HOST=unix://$state/socket
    for _ in $(seq 300); do
        docker version >/dev/null 2>&1 && break
        sleep 0.1
    done
    if docker version --format 'Docker {{.Server.Version}}'; then
        "$@" || status=$?
    else
        tail -n 20 "$state/log" >&2
        status=1
    fi
    # The command may have ended it.
    kill "$daemon" 2>/dev/null || true
    wait "$daemon" || true
    return "$status"
}

case ${1-} in
install) install ;;
run) run "$cache/docker-data" "${@:2}" ;;
run-afresh) run - "${@:2}" ;;
--inside) inside "${@:2}" ;;
*)
    echo "usage: $0 install | run COMMAND… | run-afresh COMMAND…" >&2
    exit 2
    ;;
esac
