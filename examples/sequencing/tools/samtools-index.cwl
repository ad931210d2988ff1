#!/usr/bin/env cwl-runner
cwlVersion: v1.2
class: CommandLineTool
label: Index a sorted BAM file
hints:
  DockerRequirement:
    dockerPull: quay.io/biocontainers/samtools:1.16.1--h6899075_1
requirements:
  InitialWorkDirRequirement:
    listing:
      - $(inputs.bam)
baseCommand: [samtools, index, -b]
inputs:
  bam:
    type: File
    format: edam:format_2572
    inputBinding:
      valueFrom: $(self.basename)
outputs:
  indexed:
    type: File
    format: edam:format_2572
    secondaryFiles: [.bai]
    outputBinding:
      glob: $(inputs.bam.basename)
$namespaces:
  edam: http://edamontology.org/
