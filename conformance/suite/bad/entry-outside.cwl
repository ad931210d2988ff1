cwlVersion: v1.2
class: CommandLineTool
requirements:
  InitialWorkDirRequirement:
    listing: [{entryname: ../../moil-escaped, entry: x}]
baseCommand: "true"
inputs: []
outputs: []
