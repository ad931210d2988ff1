cwlVersion: v1.2
class: CommandLineTool
arguments:
  - sh
  - -c
  - |
    printf x > "$(printf "a\\377b.txt")"
inputs: []
outputs: {out: {type: "File[]", outputBinding: {glob: "*.txt"}}}
