cwlVersion: v1.2
$graph:
  - id: shout
    class: CommandLineTool
    baseCommand: [tr, a-z, A-Z]
    inputs: {text: File}
    stdin: $(inputs.text.path)
    outputs:
      out:
        type: string
        outputBinding: {glob: out.txt, loadContents: true, outputEval: "$(self[0].contents)"}
    stdout: out.txt
  - id: main
    class: Workflow
    inputs:
      text:
        type: File
        default: {class: File, basename: t.txt, contents: "quiet\n"}
    steps:
      - id: one
        run: "#shout"
        in: [{id: text, source: text}]
        out: [out]
    outputs:
      - {id: out, type: string, outputSource: one/out}
