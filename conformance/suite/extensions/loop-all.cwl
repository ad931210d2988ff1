cwlVersion: v1.2
class: Workflow
requirements:
  InlineJavascriptRequirement: {}
  StepInputExpressionRequirement: {}
inputs: {number: {type: int, default: 1}}
steps:
  double:
    run:
      class: ExpressionTool
      inputs: {number: int}
      outputs: {number: int}
      expression: '${ return {number: inputs.number * 2}; }'
    in: {number: number}
    out: [number]
    requirements:
      cwltool:Loop:
        loopWhen: $(inputs.number < 100)
        loop: {number: number}
        outputMethod: all
outputs: {number: {type: "int[]", outputSource: double/number}}
$namespaces: {cwltool: "http://commonwl.org/cwltool#"}
