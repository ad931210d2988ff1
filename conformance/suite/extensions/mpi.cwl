cwlVersion: v1.2
class: CommandLineTool
requirements:
  InlineJavascriptRequirement: {}
  cwltool:MPIRequirement: {processes: "$(inputs.processes * 2)"}
baseCommand: [solve, fast]
inputs: {processes: {type: int, default: 2}}
outputs:
  out:
    type: string
    outputBinding: {glob: out.txt, loadContents: true, outputEval: "$(self[0].contents)"}
stdout: out.txt
$namespaces: {cwltool: "http://commonwl.org/cwltool#"}
