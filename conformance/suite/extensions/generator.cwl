cwlVersion: v1.0
$namespaces: {cwltool: "http://commonwl.org/cwltool#"}
class: Workflow
inputs:
  template: File
  text: string
outputs:
  out: {type: string, outputSource: make/out}
steps:
  make:
    in: {template: template, text: text}
    out: [out]
    run:
      class: cwltool:ProcessGenerator
      inputs: {template: File, text: string}
      outputs: {out: string}
      run:
        class: CommandLineTool
        baseCommand: cat
        inputs: {template: {type: File, inputBinding: {}}}
        outputs: {runProcess: {type: File, outputBinding: {glob: made.cwl}}}
        stdout: made.cwl
