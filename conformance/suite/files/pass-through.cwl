cwlVersion: v1.2
class: Workflow
inputs:
  text: {type: File, secondaryFiles: [.idx]}
steps: []
outputs: {text: {type: File, outputSource: text}}
