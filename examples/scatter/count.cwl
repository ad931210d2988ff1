#!/usr/bin/env cwl-runner
cwlVersion: v1.2
class: CommandLineTool
label: Counts the words of all texts
requirements:
  InlineJavascriptRequirement: {}
baseCommand: cat
inputs:
  texts:
    type: File[]
    inputBinding: {}
outputs:
  words:
    type: int
    outputBinding:
      glob: all.txt
      loadContents: true
      outputEval: $(self[0].contents.split(/\s+/).filter(function (word) { return word; }).length)
stdout: all.txt
