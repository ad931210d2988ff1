#!/usr/bin/env cwl-runner
cwlVersion: v1.2
class: CommandLineTool
label: Sort alignments by position
hints:
  DockerRequirement:
    dockerPull: quay.io/biocontainers/samtools:1.16.1--h6899075_1
requirements:
  ResourceRequirement:
    coresMin: 1
    ramMin: 256
baseCommand: [samtools, sort, --no-PG, -m, 64M]
arguments:
  - {prefix: -@, valueFrom: $(runtime.cores)}
  - {prefix: -T, valueFrom: $(runtime.tmpdir)/sort}
  - {prefix: -o, valueFrom: $(inputs.alignment.nameroot).bam}
inputs:
  alignment:
    type: File
    format: edam:format_2573
    inputBinding: {position: 1}
outputs:
  sorted:
    type: File
    format: edam:format_2572
    outputBinding:
      glob: $(inputs.alignment.nameroot).bam
$namespaces:
  edam: http://edamontology.org/
