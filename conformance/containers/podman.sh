#!/usr/bin/env bash
# Podman for tests. podman.sh install | configure FILE
#   install         installs it; needs Debian 12 and root. Idempotent. Undo: apt-get remove podman runc
#   configure FILE  writes a configuration for CONTAINERS_CONF with which it runs in containers and virtual machines too:
#                   root need not be allowed to raise limits, the two versions of cgroups may be mixed (crun refuses
#                   that), and neither systemd nor a journal is needed
# The names of images lead to the registry here where `registry.sh configure HOME` has written to the home directory.
set -euo pipefail

install() {
    local wanted=() name
    for name in podman runc; do
        command -v "$name" >/dev/null || wanted+=("$name")
    done
    if [ ${#wanted[@]} -gt 0 ]; then
        if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
            echo "not root, or no apt-get: please install ${wanted[*]}" >&2
            exit 1
        fi
        export DEBIAN_FRONTEND=noninteractive
        apt-get -qq -o DPkg::Lock::Timeout=600 update
        echo "installing: ${wanted[*]}"
        apt-get -qq -o DPkg::Lock::Timeout=600 install -y --no-install-recommends "${wanted[@]}" >/dev/null
    fi
    podman --version
}

configure() {
    cat >"$1" <<'END'
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
END
}

case ${1-} in
install) install ;;
configure) configure "${2:?which file?}" ;;
*)
    echo "usage: $0 install | configure FILE" >&2
    exit 2
    ;;
esac
