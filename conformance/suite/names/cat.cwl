cwlVersion: v1.2
class: CommandLineTool
baseCommand: cat
inputs: {file: {type: File, inputBinding: {}}}
outputs:
  out:
    type: string
    outputBinding: {glob: out.txt, loadContents: true, outputEval: "$(self[0].contents)"}
  name:
    type: string
    outputBinding: {outputEval: $(inputs.file.basename)}
stdout: out.txt
