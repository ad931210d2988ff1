cwlVersion: v1.2
class: ExpressionTool
requirements: {InlineJavascriptRequirement: {}}
inputs: []
outputs: {out: Any}
expression: |
  ${
    return {out: /^(a+)+$/.test(new Array(40).join("a") + "!")};
  }
