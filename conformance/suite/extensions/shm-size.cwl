cwlVersion: v1.2
class: CommandLineTool
hints:
  cwltool:ShmSize: {shmSize: 100m}
  DockerRequirement: {dockerPull: docker.io/debian:stable-slim}
baseCommand: [echo, -n, done]
inputs: []
outputs:
  out:
    type: string
    outputBinding: {glob: out.txt, loadContents: true, outputEval: "$(self[0].contents)"}
stdout: out.txt
$namespaces: {cwltool: "http://commonwl.org/cwltool#"}
