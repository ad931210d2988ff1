cwlVersion: v1.2
class: CommandLineTool
arguments:
  - sh
  - -c
  - |
    kill -9 $$
inputs: []
outputs: {out: {type: "File[]", outputBinding: {glob: "*.txt"}}}
