cwlVersion: v1.2
class: CommandLineTool
baseCommand: [sh, -c, 'mkdir -p a/b/c && printf 1 > a/1 && printf 2 > a/b/2 && printf 3 > a/b/c/3']
inputs: []
outputs: {tree: {type: Directory, outputBinding: {glob: a}}}
