cwlVersion: v1.2
class: CommandLineTool
baseCommand: echo
requirements:
  - $import: imports-itself.cwl
inputs: []
outputs: []
