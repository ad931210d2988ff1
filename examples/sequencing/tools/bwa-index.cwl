#!/usr/bin/env cwl-runner
cwlVersion: v1.2
class: CommandLineTool
label: Index a reference for bwa
hints:
  DockerRequirement:
    dockerPull: quay.io/biocontainers/bwa:0.7.17--h7132678_9
  SoftwareRequirement:
    packages:
      bwa:
        version: ["0.7.17"]
        specs: ["https://anaconda.org/bioconda/bwa"]
requirements:
  # The index lies beside the reference, so the reference is put where the tool may write.
  InitialWorkDirRequirement:
    listing:
      - $(inputs.reference)
  ResourceRequirement:
    coresMin: 1
    ramMin: 256
baseCommand: [bwa, index]
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
    secondaryFiles: [.amb, .ann, .bwt, .pac, .sa]
    outputBinding:
      glob: $(inputs.reference.basename)
$namespaces:
  edam: http://edamontology.org/
