cwlVersion: v1.2
class: CommandLineTool
requirements: {ToolTimeLimit: {timelimit: 2}}
arguments:
  - sh
  - -c
  - |
    trap "" TERM HUP INT; for i in 1 2 3 4 5 6 7 8 9; do sleep 16.180333; done
inputs: []
outputs: {out: {type: "File[]", outputBinding: {glob: "*.txt"}}}
