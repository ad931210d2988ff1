cwlVersion: v1.2
class: Workflow
requirements: {ScatterFeatureRequirement: {}, SubworkflowFeatureRequirement: {}, InlineJavascriptRequirement: {}, MultipleInputFeatureRequirement: {}, StepInputExpressionRequirement: {}}
inputs: {a: {type: "int[]", default: [1, 2, 3]}, b: {type: "int[]", default: [10, 20]}}
steps:
  multiply:
    run: {class: ExpressionTool, inputs: {a: int, b: int, total: int}, outputs: {n: int}, expression: "${ return {n: inputs.a * inputs.b + inputs.total}; }"}
    scatter: [a, b]
    scatterMethod: nested_crossproduct
    in: {a: a, b: b, total: {source: [a, b], linkMerge: merge_flattened, valueFrom: $(self.length)}}
    out: [n]
  pick:
    run: {class: ExpressionTool, inputs: {n: "int[]"}, outputs: {n: int}, expression: "${ return {n: inputs.n[0]}; }"}
    scatter: n
    when: $(inputs.n[0] > 20)
    in: {n: multiply/n}
    out: [n]
outputs:
  all: {type: {type: array, items: {type: array, items: int}}, outputSource: multiply/n}
  some: {type: "int[]", outputSource: pick/n, pickValue: all_non_null}
