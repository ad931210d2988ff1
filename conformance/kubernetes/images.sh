#!/usr/bin/env bash
# Images for the cluster's registry; needs its network. images.sh base | push FOLDER NAME
#   base              busybox (docker.io/library/busybox) and the image that pods pause in, both from Debian's busybox
#   push FOLDER NAME  an image of one layer: the root file system in FOLDER
# Needs `address` in the environment.
set -euo pipefail
registry=${address:?}:5000
path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# image FOLDER [umoci config words]: in $work/oci.
image() {
    umoci init --layout "$work/oci"
    umoci new --image "$work/oci:image"
    umoci insert --image "$work/oci:image" "$1" /
    shift
    umoci config --image "$work/oci:image" --architecture amd64 --os linux --config.env "PATH=$path" "$@"
}

put() {
    skopeo copy --quiet --dest-tls-verify=false "oci:$work/oci:image" "docker://$registry/$1"
}

base() {
    local root=$work/root
    curl -sf "http://$registry/v2/pause/manifests/3.6" >/dev/null && return
    mkdir -p "$root"/{bin,dev,etc,proc,root,sys,tmp,usr/bin,var/tmp}
    chmod 1777 "$root/tmp" "$root/var/tmp"
    cp "$(command -v busybox)" "$root/bin/busybox"
    busybox --list | while read -r applet; do [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"; done
    echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
    echo 'root:x:0:' >"$root/etc/group"
    touch "$root/etc/hosts" "$root/etc/resolv.conf"
    image "$root" --config.cmd /bin/sh
    put library/busybox:latest
    umoci config --image "$work/oci:image" --config.cmd /bin/sleep --config.cmd 2147483647
    put pause:3.6
}

push() {
    image "$1" --config.cmd /bin/sh
    put "$2"
}

"$@"
