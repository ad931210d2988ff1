cwlVersion: v1.2
class: Workflow
inputs: []
steps:
  greet: {run: greeting.cwl, in: [], out: [out]}
outputs: {out: {type: string, outputSource: greet/out}}
