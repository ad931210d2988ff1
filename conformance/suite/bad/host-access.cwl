cwlVersion: v1.2
class: ExpressionTool
requirements: {InlineJavascriptRequirement: {}}
inputs: []
outputs: {out: Any}
expression: |
  ${
    return {out: [typeof process, typeof require, typeof fetch, typeof std, typeof os].join()};
  }
