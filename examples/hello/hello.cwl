#!/usr/bin/env cwl-runner
cwlVersion: v1.2
class: CommandLineTool
label: Greets somebody
baseCommand: echo
inputs:
  name:
    type: string
    default: world
    doc: Who is greeted.
    inputBinding:
      prefix: "Hello,"
      valueFrom: $(self)!
outputs:
  greeting:
    type: stdout
stdout: greeting.txt
