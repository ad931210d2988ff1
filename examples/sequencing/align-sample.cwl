#!/usr/bin/env cwl-runner
cwlVersion: v1.2
class: Workflow
label: Align, sort and index the reads of one sample
requirements:
  StepInputExpressionRequirement: {}
  SchemaDefRequirement:
    types:
      - $import: sample.yml
inputs:
  sample: sample.yml#sample
  reference:
    type: File
    secondaryFiles: [.amb, .ann, .bwt, .pac, .sa]
steps:
  align:
    run: tools/bwa-mem.cwl
    in:
      sample: {source: sample, valueFrom: $(self.name)}
      reads_1: {source: sample, valueFrom: $(self.reads_1)}
      reads_2: {source: sample, valueFrom: $(self.reads_2)}
      reference: reference
    out: [alignment]
  sort:
    run: tools/samtools-sort.cwl
    in:
      alignment: align/alignment
    out: [sorted]
  index:
    run: tools/samtools-index.cwl
    in:
      bam: sort/sorted
    out: [indexed]
outputs:
  bam:
    type: File
    secondaryFiles: [.bai]
    outputSource: index/indexed
