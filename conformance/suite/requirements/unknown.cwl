cwlVersion: v1.2
class: CommandLineTool
requirements:
  my:TeleportRequirement: {where: moon}
baseCommand: "true"
inputs: []
outputs: []
$namespaces: {my: "http://example.com/my#"}
