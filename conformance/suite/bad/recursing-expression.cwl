cwlVersion: v1.2
class: ExpressionTool
requirements: {InlineJavascriptRequirement: {}}
inputs: []
outputs: {out: Any}
expression: |
  ${
    function f(n) { return f(n + 1) + 1; } return {out: f(0)};
  }
