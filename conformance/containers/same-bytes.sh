#!/usr/bin/env bash
# same-bytes.sh RUNNER: the sequencing example gives the same bytes in containers as without: all outputs are compared.
# Needs bwa, samtools and bcftools, and images of the same versions: those of images.sh are from the same packages.
set -euo pipefail
example=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../examples/sequencing" && pwd)
runner=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for where in no-container singularity; do
    "$runner" --quiet "--$where" --outdir "$work/$where" "$example/variants.cwl" "$example/job.yml" >"$work/$where.json"
    # Everything but where it lies.
    sed -i "s:$work/$where::" "$work/$where.json"
done
diff -r "$work/no-container" "$work/singularity"
diff "$work/no-container.json" "$work/singularity.json"
echo "$(find "$work/singularity" -type f | wc -l) files are the same"
