cwlVersion: v1.2
class: CommandLineTool
hints:
  SoftwareRequirement:
    packages:
      coreutils:
        specs: ["https://www.gnu.org/software/coreutils/"]
        version: ["9.1", "8.32"]
      bash: ["https://www.gnu.org/software/bash/"]
baseCommand: [echo, -n, done]
inputs: []
outputs:
  out:
    type: string
    outputBinding: {glob: out.txt, loadContents: true, outputEval: "$(self[0].contents)"}
stdout: out.txt
