cwlVersion: v1.2
class: CommandLineTool
baseCommand: [echo, -n]
inputs:
  a: &common
    type: string
    default: x
    inputBinding: &bound {position: 2}
  b:
    <<: *common
    default: y
    inputBinding:
      <<: *bound
      position: 1
outputs:
  out:
    type: string
    outputBinding: {glob: out.txt, loadContents: true, outputEval: "$(self[0].contents)"}
stdout: out.txt
