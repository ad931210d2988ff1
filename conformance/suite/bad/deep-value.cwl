cwlVersion: v1.2
class: ExpressionTool
requirements: {InlineJavascriptRequirement: {}}
inputs: []
outputs: {out: Any}
expression: |
  ${
    var a = []; for (var i = 0; i < 1000000; i++) { a = [a]; } return {out: a};
  }
