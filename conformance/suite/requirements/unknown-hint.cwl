cwlVersion: v1.2
class: CommandLineTool
hints:
  my:TeleportRequirement: {where: moon}
baseCommand: "true"
inputs: []
outputs: []
$namespaces: {my: "http://example.com/my#"}
