#!/usr/bin/env cwl-runner
cwlVersion: v1.2
class: CommandLineTool
label: Align the paired reads of one sample
hints:
  DockerRequirement:
    dockerPull: quay.io/biocontainers/bwa:0.7.17--h7132678_9
requirements:
  # bwa notes its command line in the output, so that must have neither paths of this run in it nor a number of cores that
  # depends on what else runs. Apptainer would start bwa by its path; env starts it by its name.
  InitialWorkDirRequirement:
    listing:
      - $(inputs.reference)
      - $(inputs.reads_1)
      - $(inputs.reads_2)
  ResourceRequirement:
    coresMin: 1
    coresMax: 1
    ramMin: 512
baseCommand: [env, bwa, mem]
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
    inputBinding: {position: 3, valueFrom: $(self.basename)}
  reads_1:
    type: File
    format: edam:format_1930
    streamable: true
    inputBinding: {position: 4, valueFrom: $(self.basename)}
  reads_2:
    type: File
    format: edam:format_1930
    streamable: true
    inputBinding: {position: 5, valueFrom: $(self.basename)}
outputs:
  alignment:
    type: stdout
    format: edam:format_2573
stdout: $(inputs.sample).sam
stderr: $(inputs.sample).bwa.log
$namespaces:
  edam: http://edamontology.org/
