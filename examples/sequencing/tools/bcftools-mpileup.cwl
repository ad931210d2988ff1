#!/usr/bin/env cwl-runner
cwlVersion: v1.2
class: CommandLineTool
label: Genotype likelihoods over all samples
hints:
  DockerRequirement:
    dockerPull: quay.io/biocontainers/bcftools:1.16--hfe4b78e_1
requirements:
  ResourceRequirement:
    coresMin: 1
    ramMin: 512
baseCommand: [bcftools, mpileup, -Ob]
inputs:
  reference:
    type: File
    format: edam:format_1929
    secondaryFiles: [.fai]
    inputBinding: {prefix: -f, position: 1}
  min_mapping_quality:
    type: int?
    inputBinding: {prefix: -q, position: 1}
  bams:
    type: File[]
    format: edam:format_2572
    secondaryFiles: [.bai]
    inputBinding: {position: 2}
outputs:
  likelihoods:
    type: stdout
    format: edam:format_3020
stdout: likelihoods.bcf
stderr: mpileup.log
$namespaces:
  edam: http://edamontology.org/
