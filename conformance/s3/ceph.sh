#!/usr/bin/env bash
# Ceph's object gateway (RGW) with one monitor and one disk, for tests. ceph.sh install | start FOLDER PORT | stop FOLDER
#   install            from Debian's packages; needs root. Undo: apt-get autoremove radosgw ceph-mon ceph-osd
#   start FOLDER PORT  on the loopback interface, also on the two ports that follow, with its files in FOLDER (a few
#                      hundred megabytes); returns when it answers, after about a minute. Needs root
#   stop FOLDER        ends the one whose files are there
# The user of its tests has the access key AKTEST000001 and the secret key secretsecret12345.
set -euo pipefail

install() {
    local wanted=() pair
    for pair in radosgw:radosgw ceph-mon:ceph-mon ceph-osd:ceph-osd ceph:ceph-common; do
        command -v "${pair%%:*}" >/dev/null || wanted+=("${pair##*:}")
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
    radosgw --version
}

configuration() {
    local folder=$1 port=$2 id=$3
    cat <<END
[global]
fsid = $id
mon host = [v2:127.0.0.1:$((port + 1)),v1:127.0.0.1:$((port + 2))]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
mon allow pool size one = true
mon max pg per osd = 1000
osd crush chooseleaf type = 0
run dir = $folder/run
admin socket = $folder/run/\$name.asok
log file = $folder/log/\$name.log
pid file = $folder/run/\$name.pid
mon data avail crit = 1
mon warn on pool no redundancy = false
setuser = root
setgroup = root
keyring = $folder/keyring
[mon.a]
mon data = $folder/mon
[osd.0]
osd data = $folder/osd
keyring = $folder/osd/keyring
osd objectstore = bluestore
bluestore block size = 3221225472
bluestore fsck on mount = false
osd memory target = 1500000000
[client.admin]
rgw frontends = beast endpoint=127.0.0.1:$port tcp_nodelay=1
rgw enable usage log = false
rgw gc obj min wait = 60
rgw crypt require ssl = false
END
}

# Makes and starts all parts. A process of its own, so that the first failure ends it.
make() {
    local folder=$1 port=$2 id osd all
    id=$(cat /proc/sys/kernel/random/uuid)
    export CEPH_CONF=$folder/ceph.conf
    configuration "$folder" "$port" "$id" >"$CEPH_CONF"
    all=(--cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *' --cap mds 'allow *')
    monmaptool --create --addv a "[v2:127.0.0.1:$((port + 1)),v1:127.0.0.1:$((port + 2))]" --fsid "$id" "$folder/monmap"
    ceph-authtool --create-keyring "$folder/mon.keyring" --gen-key -n mon. --cap mon 'allow *'
    ceph-authtool --create-keyring "$folder/keyring" --gen-key -n client.admin "${all[@]}"
    ceph-authtool "$folder/mon.keyring" --import-keyring "$folder/keyring"
    ceph-mon --mkfs -i a --keyring "$folder/mon.keyring" --monmap "$folder/monmap" -c "$CEPH_CONF"
    ceph-mon -i a -c "$CEPH_CONF"
    osd=$(cat /proc/sys/kernel/random/uuid)
    ceph -c "$CEPH_CONF" osd new "$osd"
    ceph -c "$CEPH_CONF" auth get-or-create osd.0 mon 'allow *' osd 'allow *' mgr 'allow *' -o "$folder/osd/keyring"
    ceph-osd -i 0 --mkfs --osd-uuid "$osd" -c "$CEPH_CONF"
    ceph-osd -i 0 -c "$CEPH_CONF"
    ceph -c "$CEPH_CONF" osd crush add-bucket h1 host root=default
    ceph -c "$CEPH_CONF" osd crush add osd.0 1.0 host=h1 root=default
    radosgw -n client.admin -c "$CEPH_CONF" --keyring "$folder/keyring"
    radosgw-admin -c "$CEPH_CONF" user create --uid=t --display-name=t --access-key=AKTEST000001 \
        --secret-key=secretsecret12345
}

answers() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

start() {
    local folder=$1 port=$2
    if answers "$port" || answers $((port + 1)) || answers $((port + 2)); then
        echo "one of the ports $port to $((port + 2)) is taken" >&2
        return 1
    fi
    rm -rf "$folder"
    mkdir -p "$folder"/{mon,osd,run,log}
    folder=$(cd "$folder" && pwd)
    if ! "${BASH_SOURCE[0]}" make "$folder" "$port" >"$folder/start.log" 2>&1; then
        tail -n 20 "$folder/start.log" >&2
        stop "$folder"
        return 1
    fi
    for _ in $(seq 300); do
        if answers "$port"; then
            echo "http://127.0.0.1:$port"
            return
        fi
        sleep 0.2
    done
    echo "it does not answer" >&2
    stop "$folder"
    return 1
}

stop() {
    local pid
    # The gateway first: it waits for the others.
    for pid in "$1"/run/client.admin.pid "$1"/run/osd.0.pid "$1"/run/mon.a.pid; do
        [ -s "$pid" ] && kill -9 "$(cat "$pid")" 2>/dev/null || true
        rm -f "$pid"
    done
}

case ${1-} in
install) install ;;
start) start "${2:?which folder?}" "${3:?which port?}" ;;
make) make "$2" "$3" ;;
stop) stop "${2:?which folder?}" ;;
*)
    echo "usage: $0 install | start FOLDER PORT | stop FOLDER" >&2
    exit 2
    ;;
esac
