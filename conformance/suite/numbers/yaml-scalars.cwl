cwlVersion: v1.2
class: ExpressionTool
requirements: {InlineJavascriptRequirement: {}}
inputs: {v: Any}
outputs: {out: "string[]"}
expression: "${ return {out: inputs.v.map(function (x) { return typeof x + ' ' + x; })}; }"
