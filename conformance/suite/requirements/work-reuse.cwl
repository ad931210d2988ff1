cwlVersion: v1.2
class: CommandLineTool
requirements:
  InlineJavascriptRequirement: {}
  WorkReuse: {enableReuse: "$(inputs.again)"}
  NetworkAccess: {networkAccess: "$(!inputs.again)"}
baseCommand: [echo, -n, done]
inputs: {again: {type: boolean, default: false}}
outputs:
  out:
    type: string
    outputBinding: {glob: out.txt, loadContents: true, outputEval: "$(self[0].contents)"}
stdout: out.txt
