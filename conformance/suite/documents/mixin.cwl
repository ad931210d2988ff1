cwlVersion: v1.2
class: CommandLineTool
baseCommand: echo
inputs:
  word:
    $mixin: word.yml
    default: mixed in
outputs:
  out:
    type: string
    outputBinding: {glob: out.txt, loadContents: true, outputEval: "$(self[0].contents)"}
stdout: out.txt
