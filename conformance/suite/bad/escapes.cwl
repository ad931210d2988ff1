cwlVersion: v1.2
class: CommandLineTool
arguments:
  - sh
  - -c
  - |
    ln -s /etc/passwd a.txt
inputs: []
outputs: {out: {type: "File[]", outputBinding: {glob: "*.txt"}}}
