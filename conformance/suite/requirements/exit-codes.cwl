cwlVersion: v1.2
class: CommandLineTool
requirements: {InlineJavascriptRequirement: {}}
baseCommand: [sh, -c]
arguments: ['exit $(inputs.code)']
inputs: {code: int}
outputs: {code: {type: int, outputBinding: {outputEval: $(runtime.exitCode)}}}
successCodes: [0, 7]
temporaryFailCodes: [8]
permanentFailCodes: [9]
