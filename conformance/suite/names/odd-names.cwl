cwlVersion: v1.2
class: CommandLineTool
requirements: {InlineJavascriptRequirement: {}}
baseCommand: [sh, -c]
arguments:
  - |
    printf a > "with space"; printf b > "qu'o\"te"; printf c > 'dollar\$(id)'; printf d > "grüße 😀"
    printf e > "per%20cent"; printf f > "hash#tag"; printf g > "-dash"; printf h > "semi;&|colon:"
    printf i > "star*?[x]"; printf j > 'back\slash'
inputs: []
outputs:
  files:
    type: File[]
    outputBinding: {glob: "*", loadContents: true, outputEval: "$(self.sort(function (a, b) { return a.contents < b.contents ? -1 : 1; }))"}
