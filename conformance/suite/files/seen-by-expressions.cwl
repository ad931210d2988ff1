cwlVersion: v1.2
class: CommandLineTool
requirements: {InlineJavascriptRequirement: {}}
baseCommand: [printf, a]
stdout: a.txt
inputs:
  plain: {type: File, default: {class: File, location: in.txt}}
  declared:
    type: File
    default: {class: File, location: in.txt}
    secondaryFiles: [{pattern: .none, required: false}]
  given: {type: File, default: {class: File, location: in.txt, secondaryFiles: []}}
outputs:
  checksum:
    type: string
    outputBinding: {glob: a.txt, outputEval: "$(self[0].checksum)"}
  script:
    type: string
    outputBinding: {glob: a.txt, outputEval: "${ var file = self[0]; return file['check' + 'sum']; }"}
  beside:
    type: Any
    outputBinding:
      outputEval: |
        ${
          return [inputs.plain, inputs.declared, inputs.given].map(function(file) {
            return file.secondaryFiles === undefined ? "none" : file.secondaryFiles;
          });
        }
  file: {type: File, secondaryFiles: [{pattern: .none, required: false}], outputBinding: {glob: a.txt}}
