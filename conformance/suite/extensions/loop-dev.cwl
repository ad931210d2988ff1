cwlVersion: v1.3.0-dev1
class: Workflow
requirements:
  InlineJavascriptRequirement: {}
inputs: {number: {type: int, default: 1}}
steps:
  double:
    run:
      class: ExpressionTool
      inputs: {number: int}
      outputs: {number: int}
      expression: '${ return {number: inputs.number * 2}; }'
    when: $(inputs.number < 100)
    loop: {number: number}
    outputMethod: last_iteration
    in: {number: number}
    out: [number]
outputs: {number: {type: int, outputSource: double/number}}
