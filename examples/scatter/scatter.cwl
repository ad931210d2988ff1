#!/usr/bin/env cwl-runner
cwlVersion: v1.2
class: Workflow
label: One job per text, then one job over all
requirements:
  ScatterFeatureRequirement: {}
inputs:
  texts: File[]
steps:
  shout:
    run: shout.cwl
    scatter: text
    in:
      text: texts
    out: [shouted]
  count:
    run: count.cwl
    in:
      texts: shout/shouted
    out: [words]
outputs:
  shouted:
    type: File[]
    outputSource: shout/shouted
  words:
    type: int
    outputSource: count/words
