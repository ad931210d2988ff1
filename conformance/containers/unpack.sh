#!/usr/bin/env bash
# unpack.sh MOIL FOLDER: unpacks the images in a folder of images, as moil does when they are used often, so that
# their tools are run without the engine.
set -euo pipefail
moil=$1 folder=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cat >"$scratch/often.cwl" <<'END'
cwlVersion: v1.2
class: Workflow
requirements: {ScatterFeatureRequirement: {}}
inputs: {times: {type: "int[]", default: [1, 2, 3, 4]}}
outputs: []
steps:
  often:
    scatter: time
    in: {time: times}
    out: []
    run: {class: CommandLineTool, baseCommand: "true", inputs: {time: int}, outputs: []}
END
for image in "$folder"/*.sif; do
    # As moil writes names: `_s_` is a slash, three underscores are one.
    name=$(basename "$image" .sif | sed -e 's/___/\n/g' -e 's/_s_/\//g' | tr '\n' _ | sed 's/_$//')
    CWL_SINGULARITY_CACHE=$folder "$moil" --singularity --quiet --outdir "$scratch/out" --default-container "$name" \
        "$scratch/often.cwl" >/dev/null
done
ls "$folder/.moil/sandboxes"
