cwlVersion: v1.2
class: Workflow
requirements:
  ScatterFeatureRequirement: {}
inputs: []
steps:
  make: {run: odd-names.cwl, in: [], out: [files]}
  use:
    run:
      class: CommandLineTool
      requirements: {ShellCommandRequirement: {}, InlineJavascriptRequirement: {}}
      arguments:
        - cat
        - valueFrom: $(inputs.file.path)
        - {valueFrom: "&&", shellQuote: false}
        - printf
        - "|%s"
        - valueFrom: $(inputs.file.basename)
      inputs: {file: File}
      outputs:
        out:
          type: string
          outputBinding: {glob: out, loadContents: true, outputEval: "$(self[0].contents)"}
      stdout: out
    scatter: file
    in: {file: make/files}
    out: [out]
outputs: {out: {type: "string[]", outputSource: use/out}}
