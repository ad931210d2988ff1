cwlVersion: v1.2
class: Workflow
inputs: []
steps:
  chicken:
    run: takes-file.cwl
    in: {file: egg/out}
    out: [out]
  egg:
    run: takes-file.cwl
    in: {file: chicken/out}
    out: [out]
outputs: []
