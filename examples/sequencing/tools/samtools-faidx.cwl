#!/usr/bin/env cwl-runner
cwlVersion: v1.2
class: CommandLineTool
label: Index a reference for random access
hints:
  DockerRequirement:
    dockerPull: quay.io/biocontainers/samtools:1.16.1--h6899075_1
requirements:
  InitialWorkDirRequirement:
    listing:
      - $(inputs.reference)
baseCommand: [samtools, faidx]
inputs:
  reference:
    type: File
    format: edam:format_1929
    inputBinding:
      valueFrom: $(self.basename)
outputs:
  indexed:
    type: File
    format: edam:format_1929
    secondaryFiles: [.fai]
    outputBinding:
      glob: $(inputs.reference.basename)
$namespaces:
  edam: http://edamontology.org/
