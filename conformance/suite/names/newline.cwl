cwlVersion: v1.2
class: CommandLineTool
baseCommand: [sh, -c]
arguments: ["printf x > 'a\nb'"]
inputs: []
outputs: {file: {type: File, outputBinding: {glob: "a*"}}}
