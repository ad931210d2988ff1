cwlVersion: v1.2
class: Workflow
inputs:
  text: {type: File, streamable: true, default: {class: File, basename: in.txt, contents: "b\na\n"}}
steps:
  sort:
    run:
      class: CommandLineTool
      baseCommand: sort
      inputs: {text: {type: File, streamable: true, inputBinding: {}}}
      outputs: {out: {type: stdout, streamable: true}}
    in: {text: text}
    out: [out]
  read:
    run:
      class: CommandLineTool
      baseCommand: cat
      inputs: {text: {type: File, streamable: true}}
      stdin: $(inputs.text.path)
      outputs:
        out:
          type: string
          outputBinding: {glob: out.txt, loadContents: true, outputEval: "$(self[0].contents)"}
      stdout: out.txt
    in: {text: sort/out}
    out: [out]
outputs: {out: {type: string, outputSource: read/out}}
