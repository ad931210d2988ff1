#!/usr/bin/env cwl-runner
cwlVersion: v1.2
class: CommandLineTool
label: Genotype likelihoods over all samples
hints:
  DockerRequirement:
    dockerPull: quay.io/biocontainers/bcftools:1.16--hfe4b78e_1
requirements:
  # The name of the reference goes into the output, so it must not have the path of this run in it.
  InitialWorkDirRequirement:
    listing:
      - $(inputs.reference)
  ResourceRequirement:
    coresMin: 1
    ramMin: 512
baseCommand: [bcftools, mpileup, --no-version, -Ob]
inputs:
  reference:
    type: File
    format: edam:format_1929
    secondaryFiles: [.fai]
    inputBinding: {prefix: -f, position: 1, valueFrom: $(self.basename)}
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
