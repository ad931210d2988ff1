#!/usr/bin/env cwl-runner
cwlVersion: v1.2
class: CommandLineTool
label: Turns a text into capitals
baseCommand: [tr, "a-z", "A-Z"]
inputs:
  text: File
stdin: $(inputs.text.path)
outputs:
  shouted:
    type: stdout
stdout: $(inputs.text.nameroot).upper.txt
