cwlVersion: v1.2
class: Operation
intent: [edam:operation_2403]
inputs: {word: string?}
outputs: {out: string}
$namespaces: {edam: "http://edamontology.org/"}
