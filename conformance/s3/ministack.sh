#!/usr/bin/env bash
# ministack, a server of S3 by others, for the tests that MOIL_REQUIRE=s3 names.
#   ministack.sh install          into a folder of its own in the cache
#   ministack.sh run PORT FOLDER  in the foreground, on the loopback interface, with its files in FOLDER
# Its signatures are not checked; its conditional writes are atomic.
set -euo pipefail
version=1.5.33
venv=${XDG_CACHE_HOME:-$HOME/.cache}/moil/ministack-$version

case ${1:-} in
install)
    if [ ! -x "$venv/bin/ministack" ]; then
        rm -rf "$venv"
        python3 -m venv "$venv"
        "$venv/bin/pip" install -q --disable-pip-version-check "ministack==$version"
    fi
    echo "ministack $version"
    ;;
run)
    # By itself it listens to everybody, and for more than S3.
    cd "$3"
    BIND_HOST=127.0.0.1 IOT_MTLS_ENABLED=0 GATEWAY_PORT=$2 exec "$venv/bin/ministack"
    ;;
*)
    sed -n '2,5s/^# //p' "$0"
    exit 2
    ;;
esac
