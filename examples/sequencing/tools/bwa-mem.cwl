#!/usr/bin/env cwl-runner
cwlVersion: v1.2
class: CommandLineTool
label: Align the paired reads of one sample
hints:
  DockerRequirement:
    dockerPull: quay.io/biocontainers/bwa:0.7.17--h7132678_9
requirements:
  ResourceRequirement:
    coresMin: 1
    coresMax: 2
    ramMin: 512
baseCommand: [bwa, mem]
arguments:
  - {prefix: -t, valueFrom: $(runtime.cores), position: 1}
  - {prefix: -R, valueFrom: '@RG\tID:$(inputs.sample)\tSM:$(inputs.sample)\tPL:ILLUMINA', position: 2}
inputs:
  sample:
    type: string
  reference:
    type: File
    format: edam:format_1929
    secondaryFiles: [.amb, .ann, .bwt, .pac, .sa]
    inputBinding: {position: 3}
  reads_1:
    type: File
    format: edam:format_1930
    streamable: true
    inputBinding: {position: 4}
  reads_2:
    type: File
    format: edam:format_1930
    streamable: true
    inputBinding: {position: 5}
outputs:
  alignment:
    type: stdout
    format: edam:format_2573
stdout: $(inputs.sample).sam
stderr: $(inputs.sample).bwa.log
$namespaces:
  edam: http://edamontology.org/
