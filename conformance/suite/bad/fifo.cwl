cwlVersion: v1.2
class: CommandLineTool
arguments:
  - sh
  - -c
  - |
    mkfifo a.txt
inputs: []
outputs: {out: {type: "File[]", outputBinding: {glob: "*.txt"}}}
