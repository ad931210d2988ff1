cwlVersion: v1.2
class: Workflow
inputs: {word: string?}
steps:
  idea:
    run: operation.cwl
    in: {word: word}
    out: [out]
outputs: {out: {type: string, outputSource: idea/out}}
