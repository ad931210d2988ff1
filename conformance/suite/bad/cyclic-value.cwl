cwlVersion: v1.2
class: ExpressionTool
requirements: {InlineJavascriptRequirement: {}}
inputs: []
outputs: {out: Any}
expression: |
  ${
    var a = {}; a.a = a; return {out: a};
  }
