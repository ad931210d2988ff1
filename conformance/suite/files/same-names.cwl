cwlVersion: v1.2
class: Workflow
requirements: {ScatterFeatureRequirement: {}, InlineJavascriptRequirement: {}}
inputs: {words: {type: "string[]", default: [a, b, c]}}
steps:
  make:
    run:
      class: CommandLineTool
      baseCommand: [printf, "%s"]
      inputs: {word: {type: string, inputBinding: {}}}
      outputs: {out: {type: File, outputBinding: {glob: same.txt}}}
      stdout: same.txt
    scatter: word
    in: {word: words}
    out: [out]
outputs: {out: {type: "File[]", outputSource: make/out}}
