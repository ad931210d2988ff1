cwlVersion: v1.2
class: CommandLineTool
requirements:
  InlineJavascriptRequirement: {}
  EnvVarRequirement:
    envDef:
      PLAIN: $(inputs.word)
      MIXED: <$(inputs.word)|$(inputs.word.length)>
      EMPTY: ""
      LIKE_SHELL: "$HOME `id` \"q\" 'q' \\ *"
      LINES: "a\nb"
arguments: [sh, -c, 'printf "%s;" "$PLAIN" "$MIXED" "$EMPTY" "$LIKE_SHELL" "$LINES"']
inputs: {word: {type: string, default: "a 'b' \"c\" $d 😀"}}
outputs:
  out:
    type: string
    outputBinding: {glob: out.txt, loadContents: true, outputEval: "$(self[0].contents)"}
stdout: out.txt
