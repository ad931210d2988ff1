#!/usr/bin/env cwl-runner
cwlVersion: v1.2
class: Workflow
label: From paired reads to variants
doc: Aligns each sample by itself and calls variants over all samples together.
requirements:
  ScatterFeatureRequirement: {}
  SubworkflowFeatureRequirement: {}
  SchemaDefRequirement:
    types:
      - $import: sample.yml
inputs:
  reference:
    type: File
    format: edam:format_1929
  samples:
    type:
      type: array
      items: sample.yml#sample
  min_mapping_quality:
    type: int?
    default: 20
  min_quality:
    type: int
    default: 50
steps:
  index_reference:
    run: tools/bwa-index.cwl
    in:
      reference: reference
    out: [indexed]
  faidx:
    run: tools/samtools-faidx.cwl
    in:
      reference: reference
    out: [indexed]
  align:
    run: align-sample.cwl
    scatter: sample
    in:
      sample: samples
      reference: index_reference/indexed
    out: [bam]
  pileup:
    run: tools/bcftools-mpileup.cwl
    in:
      reference: faidx/indexed
      bams: align/bam
      min_mapping_quality: min_mapping_quality
    out: [likelihoods]
  call:
    run: tools/bcftools-call.cwl
    in:
      likelihoods: pileup/likelihoods
    out: [variants]
  filter:
    run: tools/bcftools-filter.cwl
    in:
      variants: call/variants
      min_quality: min_quality
    out: [filtered]
  tabulate:
    run: tools/bcftools-query.cwl
    in:
      variants: filter/filtered
    out: [table]
outputs:
  alignments:
    type: File[]
    secondaryFiles: [.bai]
    outputSource: align/bam
  variants:
    type: File
    outputSource: filter/filtered
  table:
    type: File
    outputSource: tabulate/table
$namespaces:
  edam: http://edamontology.org/
