cwlVersion: v1.2
class: CommandLineTool
hints:
  cwltool:Secrets: {secrets: [password]}
baseCommand: [sh, -c, 'cat secret.conf; printf %s "$0"']
requirements:
  InitialWorkDirRequirement:
    listing:
      - entryname: secret.conf
        entry: "password=$(inputs.password)\n"
arguments: [$(inputs.password)]
inputs: {password: string}
outputs:
  out:
    type: File
    outputBinding: {glob: out.txt}
stdout: out.txt
$namespaces: {cwltool: "http://commonwl.org/cwltool#"}
