cwlVersion: v1.2
class: CommandLineTool
requirements: {ShellCommandRequirement: {}}
baseCommand: [printf, "[%s]"]
inputs:
  words: {type: "string[]", inputBinding: {}}
outputs:
  out:
    type: string
    outputBinding: {glob: out.txt, loadContents: true, outputEval: "$(self[0].contents)"}
stdout: out.txt
