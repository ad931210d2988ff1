#!/usr/bin/env cwl-runner
cwlVersion: v1.2
class: CommandLineTool
label: Variants and genotypes as a table
hints:
  DockerRequirement:
    dockerPull: quay.io/biocontainers/bcftools:1.16--hfe4b78e_1
requirements:
  InlineJavascriptRequirement: {}
baseCommand: [bcftools, query]
arguments:
  - {prefix: -f, valueFrom: '%CHROM\t%POS\t%REF\t%ALT[\t%GT]\n'}
inputs:
  variants:
    type: File
    format: edam:format_3016
    inputBinding: {position: 1}
outputs:
  table:
    type: stdout
    format: edam:format_3475
stdout: $(inputs.variants.nameroot.split('.')[0]).tsv
$namespaces:
  edam: http://edamontology.org/
