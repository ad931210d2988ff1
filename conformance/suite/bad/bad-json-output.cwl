cwlVersion: v1.2
class: CommandLineTool
arguments:
  - sh
  - -c
  - |
    echo "{not json" > cwl.output.json
inputs: []
outputs: {out: {type: "File[]", outputBinding: {glob: "*.txt"}}}
