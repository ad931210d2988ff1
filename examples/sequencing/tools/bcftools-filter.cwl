#!/usr/bin/env cwl-runner
cwlVersion: v1.2
class: CommandLineTool
label: Keep the variants of good quality
hints:
  DockerRequirement:
    dockerPull: quay.io/biocontainers/bcftools:1.16--hfe4b78e_1
baseCommand: [bcftools, filter, --no-version, -Oz]
arguments:
  - {prefix: -i, valueFrom: QUAL>=$(inputs.min_quality)}
inputs:
  variants:
    type: File
    format: edam:format_3016
    inputBinding: {position: 1}
  min_quality:
    type: int
  name:
    type: string
    default: variants
outputs:
  filtered:
    type: stdout
    format: edam:format_3016
stdout: $(inputs.name).vcf.gz
$namespaces:
  edam: http://edamontology.org/
