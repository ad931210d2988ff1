#!/usr/bin/env bash
# Builds Kubernetes from its Go modules. build.sh FOLDER VERSION: puts the programs into FOLDER. Needs Go 1.24 or later,
# the proxy of Go modules, and about 6 minutes of two cores; 3 GB while it works, 0.4 GB afterwards.
set -euo pipefail
folder=$1 version=$2
programs="kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl"
PATH=$PATH:/usr/local/go/bin

missing=
for program in $programs; do [ -x "$folder/$program" ] || missing=1; done
[ -n "$missing" ] || exit 0
command -v go >/dev/null || { echo "Go 1.24 or later is needed to build Kubernetes, and there is none" >&2; exit 1; }

mkdir -p "$folder"
work=$(mktemp -d "$folder.XXXXXX")
trap 'rm -rf "$work"' EXIT
# Nothing of this is of use to other builds.
export GOCACHE=$work/cache GOMODCACHE=$work/modules GOFLAGS=-modcacherw CGO_ENABLED=0
mkdir "$work/module"
cd "$work/module"

# Kubernetes keeps some of its own modules in a staging folder; who depends on it has to pin each to the same release.
mod=$(go mod download -json "k8s.io/kubernetes@v$version" | sed -nE 's/^\s*"GoMod": "(.*)",?$/\1/p')
{
    echo "module programs"
    grep -E '^go ' "$mod"
    echo "require k8s.io/kubernetes v$version"
    { grep -oE '^\s+k8s\.io/[a-z0-9-]+ => \./staging' "$mod"; grep -oE '^\s+k8s\.io/[a-z0-9-]+ v0\.0\.0$' "$mod"; } |
        awk -v release="0.${version#1.}" '!seen[$1]++ {print "replace "$1" => "$1" v"release}'
} >go.mod
{
    printf '//go:build tools\n\npackage tools\n\n'
    for program in $programs; do echo "import _ \"k8s.io/kubernetes/cmd/$program\""; done
} >tools.go
go mod tidy -e >tidy.log 2>&1 || { tail -n 20 tidy.log >&2; exit 1; }

paths=()
for program in $programs; do paths+=("k8s.io/kubernetes/cmd/$program"); done
about=k8s.io/component-base/version
go build -trimpath -o "$work/bin/" -ldflags="-s -w -X $about.gitVersion=v$version -X $about.gitMajor=1 \
    -X $about.gitMinor=$(cut -d. -f2 <<<"$version")" "${paths[@]}"
mv "$work"/bin/* "$folder/"
