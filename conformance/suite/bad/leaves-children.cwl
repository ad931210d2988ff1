cwlVersion: v1.2
class: CommandLineTool
arguments:
  - sh
  - -c
  - |
    for i in 1 2 3 4 5; do (setsid sleep 161.80331 &) ; sleep 161.80332 & done; echo done > a.txt
inputs: []
outputs: {out: {type: "File[]", outputBinding: {glob: "*.txt"}}}
