cwlVersion: v1.2
class: CommandLineTool
arguments:
  - sh
  - -c
  - |
    yes moil | head -c 20000000 >&2; echo done > a.txt
inputs: []
outputs: {out: {type: "File[]", outputBinding: {glob: "*.txt"}}}
