cwlVersion: v1.2
class: CommandLineTool
baseCommand: moil-no-such-program
inputs: []
outputs: []
