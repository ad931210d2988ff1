#!/usr/bin/env bash
# Installs what tests with containers need: Apptainer (also under the name singularity), a registry, and the tools
# that make images. Needs Debian 12, root and the package archive. Idempotent. Undo: apt-get remove apptainer …
#
# Debian 12 itself has no Apptainer; the unstable suite has, built for a newer C library. retarget.py points the two
# symbols of that library which it uses to their older equals; the package is rebuilt so, and apt installs it. The
# machine's own C library stays as it is. The rebuilt package is kept in the cache folder: unstable moves on.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${MOIL_CONTAINER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/moil/containers}
apt=(apt-get -qq -o DPkg::Lock::Timeout=600)

# command:package
wanted=()
for pair in skopeo:skopeo umoci:umoci mmdebstrap:mmdebstrap docker-registry:docker-registry \
    busybox:busybox-static mksquashfs:squashfs-tools squashfuse:squashfuse; do
    command -v "${pair%%:*}" >/dev/null || wanted+=("${pair##*:}")
done
command -v apptainer >/dev/null || wanted+=(squashfuse fuse-overlayfs fuse2fs)
[ ${#wanted[@]} -eq 0 ] && { apptainer --version; exit 0; }
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "not root, or no apt-get: please install apptainer ${wanted[*]}" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
mkdir -p "$cache"

# Makes $cache/apptainer.deb.
repack_apptainer() {
    local work mirror options library
    work=$(mktemp -d)
    chmod 755 "$work"
    mirror=$(awk '/^URIs:/ {print $2; exit}' /etc/apt/sources.list.d/debian.sources)
    mkdir -p "$work/lists/partial"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror sid main" >"$work/sources.list"
    # Lists of its own: the machine's sources stay as they are. A snapshot of unstable may count as expired.
    options=(-o Dir::State::Lists="$work/lists" -o Dir::Etc::sourcelist="$work/sources.list"
        -o Dir::Etc::sourceparts=- -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
        -o Acquire::Check-Valid-Until=false -o Acquire::Languages=none
        -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false -o APT::Sandbox::User=root)
    apt-get -qq "${options[@]}" update
    (cd "$work" && apt-get -qq "${options[@]}" download apptainer)
    dpkg-deb -R "$work"/apptainer_*.deb "$work/package"
    library=$work/package/usr/lib/x86_64-linux-gnu/apptainer
    python3 "$here/retarget.py" "$work/package/usr/bin/apptainer" "$library/bin/starter" \
        "$library/lib/offsetpreload.so"
    sed -i -e '/^Version:/s/$/+bookworm1/' -e 's/libc6 (>= 2\.[0-9]*)/libc6 (>= 2.36)/' "$work/package/DEBIAN/control"
    (cd "$work/package" && find usr var -type f -exec md5sum {} + >DEBIAN/md5sums)
    dpkg-deb --root-owner-group -Zzstd -b "$work/package" "$work/built.deb" >/dev/null
    mv "$work/built.deb" "$cache/apptainer.deb"
    rm -rf "$work"
}

"${apt[@]}" update
if ! command -v apptainer >/dev/null; then
    [ -f "$cache/apptainer.deb" ] || repack_apptainer
    wanted+=("$cache/apptainer.deb")
fi
echo "installing: ${wanted[*]}"
# The registry's package would start a service that listens on all addresses; we start one of our own.
"${apt[@]}" install -y --no-install-recommends "${wanted[@]}" >/dev/null
apptainer --version
