cwlVersion: v9.0
class: CommandLineTool
baseCommand: echo
inputs: []
outputs: []
