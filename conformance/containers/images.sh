#!/usr/bin/env bash
# Makes the images of images.txt from Debian packages and puts them into the registry that registry.sh started, or into
# that of MOIL_REGISTRY.
# What is there already is left alone. They are stand-ins, not the images of those names: see README.md.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${MOIL_CONTAINER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/moil/containers}
address=${MOIL_REGISTRY:-127.0.0.1:${MOIL_REGISTRY_PORT:-5000}}
oci=$cache/oci
# A change of the recipes makes all images anew.
recipes=$(sha256sum "${BASH_SOURCE[0]}" | cut -c1-16)
path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

shell=bash,dash,base-files,base-passwd,coreutils,debianutils,findutils,grep,sed,libc-bin
debian=$shell,bsdutils,bsdextrautils,diffutils,gzip,hostname,mawk,ncurses-base,netbase,perl-base,tar,util-linux
python=$debian,procps,python3-minimal,libpython3-stdlib

# system FOLDER PACKAGES: a small Debian system. Packages are unpacked, their scripts are not run; so what those
# would have made is made here.
system() {
    local mirror
    mirror=$(awk '/^URIs:/ {print $2; exit}' /etc/apt/sources.list.d/debian.sources)
    mmdebstrap --quiet --variant=extract --include="$2" \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
        bookworm "$1" "$mirror"
    cp "$1/usr/share/base-passwd/passwd.master" "$1/etc/passwd"
    cp "$1/usr/share/base-passwd/group.master" "$1/etc/group"
    touch "$1/etc/hosts" "$1/etc/resolv.conf"
    mkdir -p "$1/var/tmp"
    chmod 1777 "$1/var/tmp" "$1/tmp"
    [ ! -e "$1/usr/bin/which.debianutils" ] || ln -sf which.debianutils "$1/usr/bin/which"
    [ ! -e "$1/usr/bin/mawk" ] || ln -sf mawk "$1/usr/bin/awk"
    [ ! -e "$1/usr/bin/python3" ] || ln -sf python3 "$1/usr/bin/python"
    rm -rf "$1"/var/lib/apt "$1"/var/lib/dpkg "$1"/var/cache/* "$1"/var/log/*
}

# image NAME [umoci config words]: begins an image, with what its configuration has beside PATH.
image() {
    local name=$1
    shift
    umoci new --image "$oci:$name"
    umoci config --image "$oci:$name" --os linux --architecture amd64 --config.env "PATH=$path" "$@"
}

# layered NAME PACKAGES [umoci config words]
layered() {
    local name=$1 root=$cache/$1.root
    rm -rf "$root"
    system "$root" "$2"
    shift 2
    image "$name" "$@"
    tar -C "$root" --numeric-owner --sort=name -cf "$root.tar" .
    umoci raw add-layer --image "$oci:$name" "$root.tar"
    rm -rf "$root" "$root.tar"
}

make_busybox() {
    local root=$cache/busybox
    rm -rf "$root"
    mkdir -p "$root"/{bin,dev,etc,proc,root,sys,tmp,usr/bin,var/tmp}
    cp "$(command -v busybox)" "$root/bin/busybox"
    busybox --list | while read -r applet; do [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"; done
    ln -s ../../bin/env "$root/usr/bin/env"
    echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
    echo 'root:x:0:' >"$root/etc/group"
    touch "$root/etc/hosts" "$root/etc/resolv.conf"
    chmod 1777 "$root/tmp" "$root/var/tmp"
    image busybox --config.cmd /bin/sh
    umoci insert --image "$oci:busybox" "$root" /
    rm -rf "$root"
}

# Like the image of that name: its entry point gives bash what begins with a dash, and runs what else it gets. It
# shares the layer of debian, which comes before it in images.txt.
make_bash() {
    local entry=$cache/docker-entrypoint.sh
    printf '%s\n' '#!/bin/bash' 'case ${1-} in "" | -*) set -- bash "$@" ;; esac' 'exec "$@"' >"$entry"
    chmod 755 "$entry"
    umoci tag --image "$oci:debian" bash
    umoci config --image "$oci:bash" --config.entrypoint /usr/local/bin/docker-entrypoint.sh --config.cmd bash
    umoci insert --image "$oci:bash" "$entry" /usr/local/bin/docker-entrypoint.sh
    rm "$entry"
}

make_debian() { layered debian "$debian" --config.cmd /bin/bash; }
make_python() { layered python "$python" --config.cmd python3; }
make_bwa() { layered bwa "$shell,bwa" --config.cmd /bin/sh; }
make_samtools() { layered samtools "$shell,samtools" --config.cmd /bin/sh; }
make_bcftools() { layered bcftools "$shell,bcftools" --config.cmd /bin/sh; }

mkdir -p "$cache"
exec 9>"$cache/images.lock"
flock 9
if [ "$(cat "$cache/recipes" 2>/dev/null)" != "$recipes" ]; then
    rm -rf "$oci" "$cache/made" "$cache/recipes"
    umoci init --layout "$oci"
    mkdir "$cache/made"
    echo "$recipes" >"$cache/recipes"
fi
grep -v '^#' "$here/images.txt" | while read -r kind name; do
    if [ ! -e "$cache/made/$kind" ]; then
        echo "making $kind"
        umoci remove --image "$oci:$kind" 2>/dev/null || true
        "make_$kind"
        touch "$cache/made/$kind"
    fi
    # Registry and layout may differ in age: the digest says whether the registry has this image.
    wanted=$(skopeo inspect --raw "oci:$oci:$kind" | sha256sum)
    there=$(skopeo inspect --raw --tls-verify=false "docker://$address/$name" 2>/dev/null | sha256sum || true)
    [ "$wanted" = "$there" ] && continue
    echo "pushing $name"
    skopeo copy --quiet --dest-tls-verify=false "oci:$oci:$kind" "docker://$address/$name"
done
