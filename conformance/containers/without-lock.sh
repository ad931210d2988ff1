#!/usr/bin/env bash
# without-lock.sh [--moil PROGRAM] [--times N] [--pulls N] [--images N]: how many of N processes that pull images into one
# empty cache of Apptainer at the same time fail, and how much they download. A demonstration of what the store's locks are
# for, no test: bare `apptainer pull` fails now and then. With --moil the same is done by `moil images pull`.
# A registry of its own on a free port serves --images images (1) which share a layer that cannot be compressed.
# Needs what install.sh installs, and the images of images.sh in their registry.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
times=20 pulls=16 images=1 moil=
while [ $# -gt 0 ]; do
    case $1 in
    --moil) moil=$(realpath "$2") ;;
    --times) times=$2 ;;
    --pulls) pulls=$2 ;;
    --images) images=$2 ;;
    *) sed -n '2,7s/^# //p' "$0" >&2; exit 2 ;;
    esac
    shift 2
done
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$work/registry.yml" <<YML
version: 0.1
log: {accesslog: {disabled: true}, level: info}
storage: {filesystem: {rootdirectory: $work/registry}}
http: {addr: "127.0.0.1:$port"}
YML
docker-registry serve "$work/registry.yml" >"$work/registry.log" 2>&1 &
server=$!
export MOIL_REGISTRY_PORT=$port HOME=$work/home
"$here/registry.sh" configure "$HOME"
for _ in $(seq 100); do "$here/registry.sh" status && break; sleep 0.1; done

# Busybox, 40 MB of noise that all share, and 3 MB of each one's own.
oci=$work/oci
mkdir -p "$work/noise/shared"
head -c 40000000 /dev/urandom >"$work/noise/shared/noise"
tar -C "$work/noise" -cf "$work/shared.tar" .
skopeo copy --quiet --src-tls-verify=false docker://127.0.0.1:5000/library/busybox:latest "oci:$oci:base"
umoci raw add-layer --image "$oci:base" "$work/shared.tar"
for image in $(seq "$images"); do
    mkdir "$work/own.$image"
    head -c 3000000 /dev/urandom >"$work/own.$image/own"
    tar -C "$work/own.$image" -cf "$work/own.tar" .
    umoci tag --image "$oci:base" "image$image"
    umoci raw add-layer --image "$oci:image$image" "$work/own.tar"
    skopeo copy --quiet --dest-tls-verify=false "oci:$oci:image$image" "docker://127.0.0.1:$port/lib/image$image:1"
    cat >"$work/image$image.cwl" <<CWL
{cwlVersion: v1.2, class: CommandLineTool, baseCommand: "true", inputs: [], outputs: [],
 hints: {DockerRequirement: {dockerPull: "127.0.0.1:$port/lib/image$image:1"}}}
CWL
done

# pull NUMBER IMAGE
pull() {
    if [ -n "$moil" ]; then
        CWL_SINGULARITY_CACHE=$work/cache/images APPTAINER_CACHEDIR=$work/cache "$moil" images pull --singularity \
            "$work/image$2.cwl"
    else
        APPTAINER_CACHEDIR=$work/cache apptainer --silent pull "$work/cache/$1.sif" \
            "docker://127.0.0.1:$port/lib/image$2:1"
    fi
}

# Bytes of layers and configurations that the registry has sent.
sent() {
    sed -nE '/response completed/ {/method=GET/ {/\/blobs\// s/.*http\.response\.written=([0-9]+).*/\1/p}}' \
        "$work/registry.log" | awk '{n += $1} END {printf "%.0f\n", n}'
}

total_failed=0 bad_runs=0 least=0 most=0
before=$(sent)
for run in $(seq "$times"); do
    rm -rf "$work/cache"
    mkdir "$work/cache"
    jobs=()
    for number in $(seq "$pulls"); do
        pull "$number" $(((number - 1) % images + 1)) >"$work/said.$number" 2>&1 &
        jobs+=($!)
    done
    failed=0
    for job in "${jobs[@]}"; do wait "$job" || failed=$((failed + 1)); done
    after=$(sent)
    bytes=$((after - before)) before=$after
    echo "run $run: $failed of $pulls failed, $((bytes / 1000000)) MB"
    cat "$work"/said.* | grep -h FATAL | sort | uniq -c || true
    total_failed=$((total_failed + failed))
    [ "$failed" -eq 0 ] || bad_runs=$((bad_runs + 1))
    [ "$least" -ne 0 ] && [ "$least" -le "$bytes" ] || least=$bytes
    [ "$most" -ge "$bytes" ] || most=$bytes
done
echo "$bad_runs of $times runs with a failure, $total_failed of $((times * pulls)) processes failed," \
    "$((least / 1000000)) to $((most / 1000000)) MB downloaded in a run"
