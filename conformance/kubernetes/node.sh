#!/usr/bin/env bash
# What runs inside the cluster's namespaces; cluster.sh calls it. node.sh init | start COMPONENT
#   init             the first process of the namespaces: starts all components, and waits for its end
#   start COMPONENT  starts one that was stopped
# Its working folder is the cluster's state. Needs in the environment: address, programs, images, covered,
# kubelet_cgroup.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
state=$PWD
# How many requests each controller may make per second. By themselves they are content with 20: 4 Jobs per second.
often=1000

# component NAME COMMAND…: in the background, with its log and number.
component() {
    local name=$1
    shift
    setsid "$@" >>"log/$name.log" 2>&1 </dev/null &
    echo $! >"log/$name.pid"
}

start() {
    case $1 in
    registry) component registry docker-registry serve registry.yml ;;
    etcd)
        component etcd etcd --data-dir etcd --listen-client-urls http://127.0.0.1:2379 \
            --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380
        ;;
    apiserver)
        # shellcheck disable=SC2086
        component apiserver "$programs/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 --secure-port=6443 \
            --bind-address="$address" --advertise-address="$address" --cert-dir=pki --token-auth-file=pki/token.csv \
            --service-account-key-file=pki/sa.pub --service-account-signing-key-file=pki/sa.key \
            --service-account-issuer=https://kubernetes.default.svc --service-cluster-ip-range=10.96.0.0/16 \
            --authorization-mode=Node,RBAC --allow-privileged=true \
            --audit-policy-file=audit.yml --audit-log-path=log/audit.log --audit-log-maxsize=100 --audit-log-maxbackup=1 \
            --kubelet-preferred-address-types=InternalIP ${MOIL_KUBE_APISERVER_ARGS:-}
        ;;
    controller-manager)
        component controller-manager "$programs/kube-controller-manager" --kubeconfig=kubeconfig \
            --service-account-private-key-file=pki/sa.key --root-ca-file=pki/apiserver.crt \
            --use-service-account-credentials=true --bind-address=127.0.0.1 --leader-elect=false \
            --node-monitor-grace-period=600s --kube-api-qps="$often" --kube-api-burst="$often"
        ;;
    scheduler)
        component scheduler "$programs/kube-scheduler" --kubeconfig=kubeconfig --bind-address=127.0.0.1 \
            --leader-elect=false --kube-api-qps="$often" --kube-api-burst="$often"
        ;;
    containerd) component containerd containerd -c containerd.toml ;;
    kubelet)
        component kubelet "$programs/kubelet" --config=kubelet.yaml --kubeconfig=kubeconfig --root-dir="$state/kubelet" \
            --hostname-override=node1 --node-ip="$address"
        ;;
    kube-proxy)
        component kube-proxy "$programs/kube-proxy" --kubeconfig=kubeconfig --proxy-mode=iptables \
            --cluster-cidr=10.88.0.0/16 --hostname-override=node1 --bind-address="$address" --conntrack-max-per-core=0 \
            --healthz-bind-address=127.0.0.1:10256 --metrics-bind-address=127.0.0.1:10249
        ;;
    s3) "$here/../s3/ministack.sh" start s3 9000 "$address" && ln -sf ../s3/pid log/s3.pid ;;
    *)
        echo "there is no component $1" >&2
        return 2
        ;;
    esac
}

configure() {
    local token
    token=$(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n')
    echo "$token,admin,admin,system:masters" >pki/token.csv
    { openssl genrsa -out pki/sa.key 2048 && openssl rsa -in pki/sa.key -pubout -out pki/sa.pub; } 2>/dev/null
    # docker.io/… comes from the cluster's registry as well.
    printf 'server = "http://%s:5000"\n[host."http://%s:5000"]\n  capabilities = ["pull","resolve"]\n' \
        "$address" "$address" | tee certs.d/docker.io/hosts.toml >"certs.d/$address:5000/hosts.toml"
    cat >registry.yml <<END
version: 0.1
log: {accesslog: {disabled: false}, level: info}
storage: {filesystem: {rootdirectory: $images}, delete: {enabled: true}}
http: {addr: "$address:5000"}
END
    # What the leaders of tests ask, to be counted; not what the cluster's own programs do.
    cat >audit.yml <<END
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules: [{level: None, userGroups: ["system:nodes", "system:serviceaccounts"]}, {level: Metadata, users: [admin]}, {level: None}]
END
    cat >kubeconfig <<END
apiVersion: v1
kind: Config
clusters: [{name: local, cluster: {server: "https://$address:6443", certificate-authority: $state/pki/apiserver.crt}}]
users: [{name: admin, user: {token: "$token"}}]
contexts: [{name: local, context: {cluster: local, user: admin, namespace: default}}]
current-context: local
END
    # Where root lacks CAP_SYS_RESOURCE, as on some virtual machines, scores below zero cannot be set.
    cat >containerd.toml <<END
version = 2
root = "$state/containerd/root"
state = "$state/containerd/state"
[grpc]
  address = "$state/containerd/socket"
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = "$address:5000/pause:3.6"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$state/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "$state/certs.d"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
END
    cat >cni/net.d/10-bridge.conflist <<END
{"cniVersion": "0.4.0", "name": "moil", "plugins": [
 {"type": "bridge", "bridge": "kube0", "isGateway": true, "hairpinMode": true,
  "ipam": {"type": "host-local", "dataDir": "$state/cni/ipam",
   "ranges": [[{"subnet": "10.88.0.0/16", "rangeStart": "10.88.1.1"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
 {"type": "portmap", "capabilities": {"portMappings": true}}]}
END
    # Nothing answers there: names fail at once, and not after a while.
    printf 'nameserver %s\noptions timeout:1 attempts:1\n' "$address" >resolv.conf
    cat >kubelet.yaml <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $address
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
cgroupDriver: cgroupfs
cgroupRoot: $kubelet_cgroup
enforceNodeAllocatable: [pods]
failSwapOn: false
containerRuntimeEndpoint: unix://$state/containerd/socket
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%, nodefs.inodesFree: 1%}
readOnlyPort: 0
registryPullQPS: 0
resolvConf: $state/resolv.conf
volumePluginDir: $state/kubelet/plugins
END
}

# Mounts and network of our own: they go with the last process.
surroundings() {
    mount --make-rshared /
    # Kubernetes and runc refuse a mixture of both versions of cgroups.
    umount /sys/fs/cgroup/unified 2>/dev/null || true
    local place
    for place in $covered; do
        mkdir -p "run$place"
        mount --bind "run$place" "$place"
    done
    # It loses what it has anyway when the cluster ends, and a disk that is busy with builds makes it slow.
    mount -t tmpfs -o size=3g etcd etcd
    ip link set lo up
    # A bridge that is told no address has the lowest one of its ports: when a pod comes or goes that may be another one, and
    # pods that know the last one reach nobody for half a minute.
    ip link add kube0 address 02:00:0a:58:00:01 type bridge
    ip addr add "$address/16" dev kube0
    ip link set kube0 up
    sysctl -qw net.ipv4.ip_forward=1 || true
    sysctl -qw net.bridge.bridge-nf-call-iptables=1 2>/dev/null || true
}

# answers URL
answers() {
    for _ in $(seq 1200); do
        curl -ksf "$1" >/dev/null && return 0
        sleep 0.1
    done
    echo "$1 does not answer" >&2
    return 1
}

init() {
    mkdir -p pki log etcd containerd kubelet cni/net.d certs.d/docker.io "certs.d/$address:5000"
    surroundings
    configure
    start registry
    start etcd
    start apiserver
    start containerd
    start s3 &
    local s3=$!
    answers "http://$address:5000/v2/"
    "$here/images.sh" base
    answers "https://$address:6443/readyz"
    start controller-manager
    start scheduler
    start kubelet
    start kube-proxy
    wait "$s3"
    touch started
    # What loses its parent comes here, and is waited for.
    while :; do
        sleep 86400 &
        wait "$!"
    done
}

"$@"
