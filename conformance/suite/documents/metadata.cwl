#!/usr/bin/env cwl-runner
cwlVersion: v1.2
class: Workflow
label: Fields that say something to people only
doc:
  - Several lines
  - of documentation.
intent: [edam:operation_2403]
inputs:
  word:
    type: string
    label: A word
    doc: [It is, printed.]
steps:
  print:
    label: Print it
    doc: One step.
    run:
      class: CommandLineTool
      intent: [edam:operation_0004]
      label: echo
      baseCommand: [echo, -n]
      inputs:
        word: {type: string, label: word, doc: word, inputBinding: {}}
      outputs:
        out:
          label: What was printed
          doc: [a, b]
          type: string
          outputBinding: {glob: out.txt, loadContents: true, outputEval: "$(self[0].contents)"}
      stdout: out.txt
    in:
      word: {source: word, label: passed on}
    out: [{id: out}]
outputs:
  out: {type: string, outputSource: print/out, label: out, doc: [c]}
s:author: Somebody
edam:has_topic: {edam:name: nothing}
$namespaces:
  edam: http://edamontology.org/
  s: https://schema.org/
