cwlVersion: v1.2
class: CommandLineTool
requirements: {InlineJavascriptRequirement: {}}
baseCommand: [sh, -c, 'cd "$0" && find . | LC_ALL=C sort | tr "\n" " "']
inputs:
  tree:
    type: Directory
    inputBinding: {}
    default:
      class: Directory
      basename: root
      listing:
        - {class: File, basename: a.txt, contents: a}
        - class: Directory
          basename: sub
          listing:
            - {class: File, basename: b.txt, contents: b, secondaryFiles: [{class: File, basename: b.txt.idx, contents: i}]}
            - {class: Directory, basename: empty, listing: []}
outputs:
  out:
    type: string
    outputBinding: {glob: out.txt, loadContents: true, outputEval: "$(self[0].contents)"}
stdout: out.txt
