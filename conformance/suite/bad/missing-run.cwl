cwlVersion: v1.2
class: Workflow
inputs: []
steps:
  one: {run: not-there.cwl, in: [], out: []}
outputs: []
