#!/usr/bin/env bash
# A real Kubernetes of one node for tests. See README.md.
#   build           installs Debian packages, builds the programs of Kubernetes: about 6 minutes once
#   up              starts it and returns when the node is ready; nothing to do where it is up
#   status          whether it is up, as exit code
#   exec COMMAND…   runs a command in its network, with KUBECONFIG, PATH and MOIL_TEST_KUBERNETES set
#   push FOLDER NAME  makes an image of a root file system and puts it into its registry
#   stop COMPONENT, start COMPONENT  ends and starts one of its programs (their names: ls STATE/log)
#   kill COMPONENT  ends one of its programs at once
#   pause COMPONENT, resume COMPONENT  one of its programs does nothing meanwhile
#   logs COMPONENT  shows what one of them said
#   down            ends it with all that it runs
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export cache=${MOIL_KUBERNETES_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/moil/kubernetes}
# The last release line that runs on nodes with cgroups of version 1 without being asked to.
version=1.34.4
# Another name is another cluster beside the first, with a network, a state and a registry of its own.
which=${MOIL_KUBERNETES_NAME:+-$MOIL_KUBERNETES_NAME}
export programs=$cache/bin-$version address=10.88.0.1 kubelet_cgroup=/moil-kubernetes$which images=$cache/registry$which
state=$cache/state$which
# Programs write there whatever they are told; they see folders of ours in these places.
export covered="/run/netns /run/containerd /var/lib/cni /var/lib/kubelet /var/log"
export PATH=$PATH:/usr/sbin:/sbin

# command:package
needed=(containerd:containerd runc:runc etcd:etcd-server docker-registry:docker-registry umoci:umoci skopeo:skopeo
    iptables:iptables ip:iproute2 conntrack:conntrack busybox:busybox-static nsenter:util-linux openssl:openssl curl:curl
    python3:python3)

build() {
    local wanted=() pair
    for pair in "${needed[@]}"; do command -v "${pair%%:*}" >/dev/null || wanted+=("${pair##*:}"); done
    [ -x /usr/lib/cni/bridge ] || wanted+=(containernetworking-plugins)
    python3 -c 'import ensurepip' 2>/dev/null || wanted+=(python3-venv)
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
    "$here/../s3/ministack.sh" install
    "$here/build.sh" "$programs" "$version"
    echo "Kubernetes $version"
}

# The process whose child is the first one of the namespaces. Its number may have gone to another since. Any clone may
# have started it.
holder() {
    local pid
    pid=$(cat "$state/pid" 2>/dev/null) && grep -qz '/conformance/kubernetes/node\.sh$' "/proc/$pid/cmdline" 2>/dev/null && echo "$pid"
}

# within COMMAND…: in the cluster's network.
within() {
    local pid
    pid=$(holder) || { echo "the cluster is not up: $0 up" >&2; exit 1; }
    export KUBECONFIG=$state/kubeconfig PATH=$PATH:$programs
    export MOIL_TEST_KUBERNETES=$address:5000 MOIL_TEST_KUBERNETES_S3=http://$address:9000
    export MOIL_TEST_KUBERNETES_AUDIT=$state/log/audit.log
    nsenter --target "$pid" --net -- "$@"
}

# inside COMMAND…: in all namespaces of the cluster.
inside() {
    local pid
    pid=$(holder) || { echo "the cluster is not up: $0 up" >&2; exit 1; }
    pid=$(tr -d ' ' <"/proc/$pid/task/$pid/children")
    nsenter --target "$pid" --net --mount --pid --wd="$state" -- "$@"
}

# Those that kubelet sets for the whole machine.
kernel_settings() {
    sysctl vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys \
        kernel.keys.root_maxbytes fs.inotify.max_user_instances 2>/dev/null
}

up() {
    holder >/dev/null && return
    [ "$(id -u)" -eq 0 ] || { echo "it takes root to start a cluster" >&2; exit 1; }
    build
    down
    # Each version of moil that was tested leaves a layer.
    if [ -d "$images" ] && [ "$(du -sm "$images" | cut -f1)" -gt 2000 ]; then rm -rf "$images"; fi
    mkdir -p "$state"
    kernel_settings >"$state/kernel"
    local folder
    for folder in $covered; do
        [ -d "$folder" ] || { mkdir -p "$folder" && echo "$folder" >>"$state/made"; }
    done
    sysctl -qw fs.inotify.max_user_instances=1024 || true
    local controller
    for controller in /sys/fs/cgroup/*/; do
        [ -e "$controller/tasks" ] && mkdir -p "$controller$kubelet_cgroup"
    done
    # kubelet takes all of it; a new cpuset is empty.
    if [ -d "/sys/fs/cgroup/cpuset$kubelet_cgroup" ]; then
        cat /sys/fs/cgroup/cpuset/cpuset.cpus >"/sys/fs/cgroup/cpuset$kubelet_cgroup/cpuset.cpus"
        cat /sys/fs/cgroup/cpuset/cpuset.mems >"/sys/fs/cgroup/cpuset$kubelet_cgroup/cpuset.mems"
    fi
    (
        cd "$state"
        setsid unshare --net --mount --pid --fork --kill-child --mount-proc "$BASH" "$here/node.sh" init \
            >init.log 2>&1 </dev/null &
        echo $! >pid
    )
    local try
    for try in $(seq 2400); do
        if [ -e "$state/started" ]; then
            within kubectl get nodes 2>/dev/null | grep -q ' Ready' &&
                within kubectl get serviceaccount default >/dev/null 2>&1 && return
        elif [ "$try" -gt 20 ] && ! holder >/dev/null; then
            # Until then it may not be known by its own words yet.
            break
        fi
        sleep 0.1
    done
    tail -n 20 "$state/init.log" "$state"/log/*.log >&2 || true
    echo "the cluster does not start; what its programs said is above and in $state/log" >&2
    exit 1
}

down() {
    local pid
    if pid=$(holder); then
        # The first process of the namespaces takes all others with it.
        kill -KILL "$(tr -d ' ' <"/proc/$pid/task/$pid/children")"
        while holder >/dev/null; do sleep 0.1; done
    fi
    [ -d "$state" ] || return 0
    [ ! -f "$state/kernel" ] || sysctl -q -p "$state/kernel" || true
    # A group goes when its last process has gone.
    for _ in $(seq 50); do
        find /sys/fs/cgroup/*"$kubelet_cgroup" -depth -type d -exec rmdir {} + 2>/dev/null || true
        ls -d /sys/fs/cgroup/*"$kubelet_cgroup" >/dev/null 2>&1 || break
        sleep 0.1
    done
    # The list may be of before the machine was switched off: some may be gone, or mounts by now.
    [ ! -f "$state/made" ] || xargs -r rmdir <"$state/made" 2>/dev/null || true
    rm -rf "$state"
}

case ${1-} in
build) build ;;
up) up ;;
status) holder >/dev/null ;;
exec) within "${@:2}" ;;
push) within "$here/images.sh" push "${2:?which folder?}" "${3:?which name?}" ;;
stop) inside sh -c "kill \$(cat log/${2:?which component?}.pid)" ;;
start) inside "$here/node.sh" start "${2:?which component?}" ;;
kill)
    # Until it is gone its place is taken.
    inside sh -c "pid=\$(cat log/${2:?which component?}.pid) && kill -KILL \$pid && while kill -0 \$pid 2>/dev/null; do sleep 0.1; done"
    ;;
pause) inside sh -c "kill -STOP \$(cat log/${2:?which component?}.pid)" ;;
resume) inside sh -c "kill -CONT \$(cat log/${2:?which component?}.pid)" ;;
logs) cat "$state/log/${2:?of which component?}.log" ;;
down) down ;;
*)
    sed -n '3,13s/^# *//p' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
