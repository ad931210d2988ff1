cwlVersion: v1.2
class: Workflow
requirements: {ScatterFeatureRequirement: {}}
inputs: {a: {type: "int[]", default: [1, 2]}, b: {type: "int[]", default: [1]}}
steps:
  one:
    run: {class: ExpressionTool, requirements: {InlineJavascriptRequirement: {}}, inputs: {a: int, b: int}, outputs: {n: int}, expression: "${ return {n: 1}; }"}
    scatter: [a, b]
    scatterMethod: dotproduct
    in: {a: a, b: b}
    out: [n]
outputs: {n: {type: "int[]", outputSource: one/n}}
