cwlVersion: v1.0
class: Workflow
inputs: {text: string}
outputs: {out: {type: string, outputSource: say/out}}
steps:
  say:
    in: {text: text}
    out: [out]
    run:
      class: CommandLineTool
      baseCommand: echo
      inputs: {text: {type: string, inputBinding: {}}}
      outputs: {out: {type: string, outputBinding: {glob: out.txt, loadContents: true, outputEval: "$(self[0].contents)"}}}
      stdout: out.txt
