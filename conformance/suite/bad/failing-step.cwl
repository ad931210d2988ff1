cwlVersion: v1.2
class: Workflow
inputs: []
steps:
  the_step_at_fault: {run: failing.cwl, in: [], out: [out]}
outputs: {out: {type: "File[]", outputSource: the_step_at_fault/out}}
