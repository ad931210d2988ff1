#!/usr/bin/env bash
# ministack, a server of S3 by others, for tests. ministack.sh install | start FOLDER PORT [ADDRESS] | stop FOLDER
#   install            into a folder of its own in the cache; needs Python with venv
#   start FOLDER PORT [ADDRESS]  on the loopback interface, with its files in FOLDER; returns when it answers
#   stop FOLDER        ends the one whose files are there
# It does not check signatures. Its conditional writes are atomic.
set -euo pipefail
version=1.5.33
venv=${XDG_CACHE_HOME:-$HOME/.cache}/moil/ministack-$version

install() {
    if [ ! -x "$venv/bin/ministack" ]; then
        rm -rf "$venv"
        python3 -m venv "$venv"
        "$venv/bin/pip" install -q --disable-pip-version-check "ministack==$version"
    fi
    echo "ministack $version"
}

answers() {
    (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null
}

start() {
    local folder=$1 port=$2 address=$3
    if answers "$address" "$port"; then
        echo "the port $port is taken" >&2
        return 1
    fi
    mkdir -p "$folder"
    cd "$folder"
    # By itself it listens to everybody, and for more than S3.
    BIND_HOST=$address IOT_MTLS_ENABLED=0 GATEWAY_PORT=$port nohup "$venv/bin/ministack" >log 2>&1 &
    echo $! >pid
    for _ in $(seq 300); do
        if answers "$address" "$port"; then
            echo "http://$address:$port"
            return
        fi
        kill -0 "$(cat pid)" 2>/dev/null || break
        sleep 0.2
    done
    tail -n 20 log >&2
    return 1
}

stop() {
    [ -f "$1/pid" ] || return 0
    kill "$(cat "$1/pid")" 2>/dev/null || true
    rm -f "$1/pid"
}

case ${1-} in
install) install ;;
start) start "${2:?which folder?}" "${3:?which port?}" "${4-127.0.0.1}" ;;
stop) stop "${2:?which folder?}" ;;
*)
    echo "usage: $0 install | start FOLDER PORT [ADDRESS] | stop FOLDER" >&2
    exit 2
    ;;
esac
