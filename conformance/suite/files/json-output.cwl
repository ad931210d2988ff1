cwlVersion: v1.2
class: CommandLineTool
baseCommand: [sh, -c]
arguments:
  - 'mkdir d && printf x > d/x.txt && printf y > y.txt && printf z > y.txt.idx && echo ''{"n": 5, "file": {"class": "File", "path": "y.txt", "secondaryFiles": [{"class": "File", "path": "y.txt.idx"}]}, "dir": {"class": "Directory", "path": "d"}, "big": 123456789012345678901234567890, "none": null}'' > cwl.output.json'
inputs: []
outputs: {n: int, file: File, dir: Directory, big: Any, none: string?}
