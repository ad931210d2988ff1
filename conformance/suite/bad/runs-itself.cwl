cwlVersion: v1.2
class: Workflow
requirements: {SubworkflowFeatureRequirement: {}}
inputs: []
steps:
  again: {run: runs-itself.cwl, in: [], out: []}
outputs: []
