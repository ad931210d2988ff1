#!/usr/bin/env cwl-runner
cwlVersion: v1.2
class: CommandLineTool
label: Call variants
hints:
  DockerRequirement:
    dockerPull: quay.io/biocontainers/bcftools:1.16--hfe4b78e_1
baseCommand: [bcftools, call, --no-version, --multiallelic-caller, --variants-only, -Oz]
inputs:
  likelihoods:
    type: File
    format: edam:format_3020
    inputBinding: {position: 1}
  name:
    type: string
    default: raw
outputs:
  variants:
    type: stdout
    format: edam:format_3016
stdout: $(inputs.name).vcf.gz
$namespaces:
  edam: http://edamontology.org/
