//! Brings walked documents to the form of v1.2, step by step. Where the meaning of a version
//! differs and no form of v1.2 says the same, `cwlVersion` tells it to those who need to know.

use moil_salad::diagnostic::Diagnostic;
use moil_salad::node::{Entry, Kind, Map, Node};

use crate::process::Version;

/// Requirements that began as extensions, and what they are called now.
const RENAMED: [(&str, &str); 6] = [
    ("cwltool:LoadListingRequirement", "LoadListingRequirement"),
    ("cwltool:InplaceUpdateRequirement", "InplaceUpdateRequirement"),
    ("cwltool:WorkReuse", "WorkReuse"),
    ("cwltool:NetworkAccess", "NetworkAccess"),
    ("cwltool:TimeLimit", "ToolTimeLimit"),
    ("arv:ReuseRequirement", "WorkReuse"),
];

/// Upgrades a process and those written in place in it.
pub fn upgrade(process: &mut Node, version: Version, diagnostics: &mut Vec<Diagnostic>) {
    let Some(map) = process.as_map_mut() else { return };
    check_version(map, version, diagnostics);
    set_version(map, version);
    rename_requirements(map);
    if version == Version::V1_0 {
        list_directories(map);
    }
    move_load_contents(map, diagnostics);
    if let Some(run) = map.get_mut("run") {
        upgrade(run, version, diagnostics);
    }
    for step in items_mut(map, "steps") {
        let Some(step) = step.as_map_mut() else { continue };
        rename_requirements(step);
        if let Some(run) = step.get_mut("run") {
            upgrade(run, version, diagnostics);
        }
    }
}

/// A process has the version of its document; one that says that it is newer is not understood.
fn check_version(map: &Map, version: Version, diagnostics: &mut Vec<Diagnostic>) {
    let Some(node) = map.get("cwlVersion") else { return };
    let newer = [("v1.1", Version::V1_1), ("v1.2", Version::V1_2)];
    if newer.iter().any(|(name, newer)| node.as_str() == Some(name) && *newer > version) {
        let message = format!("{} is newer than the document that it stands in", node.describe());
        let hint = "give the document that version, or the process a file of its own";
        diagnostics.push(Diagnostic::error("unknown-version", &node.place, message).with_hint(hint));
    }
}

fn set_version(map: &mut Map, version: Version) {
    let name = match version {
        Version::V1_0 => "v1.0",
        Version::V1_1 => "v1.1",
        Version::V1_2 => "v1.2",
        Version::V1_3Dev => "v1.3.0-dev1",
    };
    let Some(place) = map.entries.first().map(|entry| entry.key_place.clone()) else { return };
    map.set("cwlVersion", Node::string(name, &place));
}

fn rename_requirements(map: &mut Map) {
    for field in ["requirements", "hints"] {
        for requirement in items_mut(map, field) {
            let class = requirement.as_map_mut().and_then(|requirement| requirement.get_mut("class"));
            let Some(Node { kind: Kind::String(class), .. }) = class else { continue };
            let known = class.replace("http://commonwl.org/cwltool#", "cwltool:");
            if let Some((_, now)) = RENAMED.iter().find(|(then, _)| *then == known) {
                (*now).clone_into(class);
            }
        }
    }
}

/// v1.0 lists directories deeply where nothing else is said (CWL v1.1, changelog).
fn list_directories(map: &mut Map) {
    let says = |requirement: &Node| {
        requirement.get("class").and_then(Node::as_str) == Some("LoadListingRequirement")
    };
    let fields = ["requirements", "hints"];
    let said = fields.iter().filter_map(|field| map.get(field)?.as_list()).flatten().any(says);
    let Some(place) = map.entries.first().map(|entry| entry.key_place.clone()) else { return };
    if said {
        return;
    }
    let mut hint = Map::default();
    hint.set("class", Node::string("LoadListingRequirement", &place));
    hint.set("loadListing", Node::string("deep_listing", &place));
    let hint = Node { place: place.clone(), kind: Kind::Map(hint) };
    match map.get_mut("hints") {
        Some(Node { kind: Kind::List(hints), .. }) => hints.insert(0, hint),
        Some(_) => {}
        None => {
            // Where the schema has them, so that the order is that of any other document.
            let before = ["class", "id", "cwlVersion", "requirements"];
            let at = map.entries.iter().rposition(|entry| before.contains(&entry.key.as_str()));
            let value = Node { place: place.clone(), kind: Kind::List(vec![hint]) };
            let entry = Entry { key: "hints".to_owned(), key_place: place, value };
            map.entries.insert(at.map_or(0, |at| at + 1), entry);
        }
    }
}

/// `inputBinding.loadContents` became a field of the parameter. Workflows and expression tools have
/// no other use for a binding.
fn move_load_contents(map: &mut Map, diagnostics: &mut Vec<Diagnostic>) {
    let has_command_line = map.get("class").and_then(Node::as_str) == Some("CommandLineTool");
    for input in items_mut(map, "inputs") {
        let Some(input) = input.as_map_mut() else { continue };
        let Some(binding) = input.get_mut("inputBinding").and_then(Node::as_map_mut) else { continue };
        let load = binding.remove("loadContents");
        if !has_command_line {
            for entry in &binding.entries {
                let message = format!("`{}` has no meaning here: there is no command line", entry.key);
                diagnostics.push(Diagnostic::warning("ignored-field", &entry.key_place, message));
            }
            input.remove("inputBinding");
        }
        if let Some(load) = load {
            input.set("loadContents", load.value);
        }
    }
}

fn items_mut<'a>(map: &'a mut Map, field: &str) -> &'a mut [Node] {
    match map.get_mut(field) {
        Some(Node { kind: Kind::List(items), .. }) => items,
        _ => &mut [],
    }
}
