cwlVersion: v1.2
class: Workflow
inputs:
  number: int
steps:
  one:
    run: takes-file.cwl
    in: {file: number}
    out: [out]
outputs:
  out: {type: string, outputSource: one/nothing}
