cwlVersion: v1.2
class: Workflow
requirements: {ScatterFeatureRequirement: {}, SubworkflowFeatureRequirement: {}, InlineJavascriptRequirement: {}}
inputs: {numbers: {type: "int[]", default: []}}
steps:
  sub:
    run:
      class: Workflow
      inputs: {n: int}
      steps:
        add: {run: {class: ExpressionTool, inputs: {n: int}, outputs: {n: int}, expression: "${ return {n: inputs.n + 1}; }"}, in: {n: n}, out: [n]}
      outputs: {n: {type: int, outputSource: add/n}}
    scatter: n
    in: {n: numbers}
    out: [n]
outputs: {n: {type: "int[]", outputSource: sub/n}}
