cwlVersion: v1.2
class: CommandLineTool
hints:
  EnvVarRequirement: {envDef: {GREETING: from the document}}
arguments: [sh, -c, 'printf "%s" "$GREETING"']
inputs: []
outputs:
  out:
    type: string
    outputBinding: {glob: out.txt, loadContents: true, outputEval: "$(self[0].contents)"}
stdout: out.txt
