cwlVersion: v1.2
class: CommandLineTool
requirements: {InlineJavascriptRequirement: {}}
baseCommand: [echo, -n]
inputs:
  octal: {type: int, default: 012, inputBinding: {position: 1}}
  hex: {type: int, default: 0x1F, inputBinding: {position: 2}}
  long: {type: long, default: 9007199254740993, inputBinding: {position: 3}}
  small: {type: double, default: 1.5e-7, inputBinding: {position: 4}}
  large: {type: double, default: 1.0e+21, inputBinding: {position: 5}}
  whole: {type: float, default: 2.0, inputBinding: {position: 6}}
  negative: {type: int, default: -3, inputBinding: {position: 7, prefix: --n=, separate: false}}
  computed: {type: double, default: 0, inputBinding: {position: 8, valueFrom: $(0.1 + 0.2)}}
  divided: {type: double, default: 0, inputBinding: {position: 9, valueFrom: $(6 / 3)}}
outputs:
  out:
    type: string
    outputBinding: {glob: out.txt, loadContents: true, outputEval: "$(self[0].contents)"}
  same_long: {type: long, outputBinding: {outputEval: $(inputs.long)}}
  same_whole: {type: float, outputBinding: {outputEval: $(inputs.whole)}}
stdout: out.txt
