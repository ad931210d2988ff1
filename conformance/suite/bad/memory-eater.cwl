cwlVersion: v1.2
class: ExpressionTool
requirements: {InlineJavascriptRequirement: {}}
inputs: []
outputs: {out: Any}
expression: |
  ${
    var all = []; while (true) { all.push(new Array(1000000).join("moil")); }
  }
