//! `--print-deps` and `--print-input-deps`: which files a document or an input object needs.

use std::collections::HashSet;

use moil_salad::node::{Kind, Node};
use moil_salad::uri;
use serde_json::{Value as Json, json};

use crate::document::Document;
use crate::location;
use crate::pack::indented;
use crate::value::{Value, split_extension};

/// The media type of CWL documents.
const CWL: &str = "https://www.iana.org/assignments/media-types/application/cwl";

/// The files that a document is made of or names, as a JSON File with secondary files, each below
/// the file that names it. Locations of local files are relative to `directory`, a path.
pub fn document_deps(document: &Document, directory: &str) -> String {
    let main = uri::split_fragment(&document.main).0;
    let mut tree = Tree { named: Vec::new(), seen: HashSet::from([main.to_owned()]), directory };
    // What no node stands in was included as text.
    let mut documents = HashSet::new();
    for node in document.processes.values().chain(document.types.values()) {
        collect_sources(node, "", &mut documents);
    }
    for (source, by) in &document.sources {
        if let Some(by) = by {
            let file = json_file(source, documents.contains(source.as_str()), directory);
            tree.named.push((by.clone(), file, source.clone()));
        }
    }
    for schema in &document.schemas {
        tree.named.push((main.to_owned(), json_file(schema, false, directory), schema.clone()));
    }
    for node in document.processes.values().chain(document.types.values()) {
        tree.files(node);
    }
    let mut root = json!({"class": "File", "location": relative(main, directory), "format": CWL});
    tree.fill(main, &mut root, 0);
    indented(&root.to_string())
}

/// The files that an input object names; `location` is that of the object, empty where it was given
/// as options. Locations of local files are relative to `directory`, a path.
pub fn input_deps(inputs: &Value, location: &str, directory: &str) -> String {
    let mut files = Vec::new();
    list_files(inputs, directory, &mut files);
    let mut root = json!({"class": "File", "location": relative(location, directory), "format": CWL});
    if !files.is_empty() {
        set(&mut root, "secondaryFiles", Json::Array(files));
    }
    indented(&root.to_string())
}

struct Tree<'d> {
    /// Who names a file, the file, and its full location.
    named: Vec<(String, Json, String)>,
    seen: HashSet<String>,
    directory: &'d str,
}

impl Tree<'_> {
    /// Files and Directories that are written in a node, each named by the text that it stands in.
    fn files(&mut self, node: &Node) {
        match &node.kind {
            Kind::List(members) => members.iter().for_each(|member| self.files(member)),
            Kind::Map(map) => {
                let class = map.get("class").and_then(Node::as_str);
                let location = map.get("location").and_then(Node::as_str);
                if let (Some(class @ ("File" | "Directory")), Some(location)) = (class, location)
                    && !location.starts_with("_:")
                {
                    let file = json_of(class, location, self.directory);
                    self.named.push((node.place.source.uri.clone(), file, location.to_owned()));
                }
                map.entries.iter().for_each(|entry| self.files(&entry.value));
            }
            _ => {}
        }
    }

    /// Puts what `source` names below it. A file that is named again is not opened again.
    fn fill(&mut self, source: &str, json: &mut Json, depth: usize) {
        if depth > 100 {
            return;
        }
        let mut below = Vec::new();
        let mut here = HashSet::new();
        let named: Vec<(Json, String)> = self
            .named
            .iter()
            .filter(|(by, _, _)| by == source)
            .map(|(_, json, location)| (json.clone(), location.clone()))
            .collect();
        for (mut file, location) in named {
            if !here.insert(location.clone()) {
                continue;
            }
            if self.seen.insert(location.clone()) {
                self.fill(&location, &mut file, depth + 1);
            }
            below.push(file);
        }
        if !below.is_empty() {
            set(json, "secondaryFiles", Json::Array(below));
        }
    }
}

/// The sources of a node and all below it. `above` is known already. Texts that were included as
/// text are strings, and do not count.
fn collect_sources<'n>(node: &'n Node, above: &str, sources: &mut HashSet<&'n str>) {
    let source = node.place.source.uri.as_str();
    if source != above && node.as_map().is_some() {
        sources.insert(source);
    }
    match &node.kind {
        Kind::List(members) => members.iter().for_each(|member| collect_sources(member, source, sources)),
        Kind::Map(map) => map.entries.iter().for_each(|entry| collect_sources(&entry.value, source, sources)),
        _ => {}
    }
}

fn list_files(value: &Value, directory: &str, files: &mut Vec<Json>) {
    match value {
        Value::List(items) => items.iter().for_each(|item| list_files(item, directory, files)),
        Value::Map(entries) => entries.values().for_each(|item| list_files(item, directory, files)),
        Value::File(file) => {
            let mut below = Vec::new();
            file.secondary_files.iter().for_each(|item| list_files(item, directory, &mut below));
            match &file.location {
                Some(location) => {
                    let mut json = json_of("File", location, directory);
                    if let Some(basename) = &file.basename {
                        set_name(&mut json, "File", basename);
                    }
                    if !below.is_empty() {
                        set(&mut json, "secondaryFiles", Json::Array(below));
                    }
                    files.push(json);
                }
                None => files.extend(below),
            }
        }
        Value::Directory(folder) => {
            let mut below = Vec::new();
            folder
                .listing
                .iter()
                .flat_map(|l| l.iter())
                .for_each(|item| list_files(item, directory, &mut below));
            match &folder.location {
                Some(location) => {
                    let mut json = json_of("Directory", location, directory);
                    if let Some(basename) = &folder.basename {
                        set_name(&mut json, "Directory", basename);
                    }
                    if !below.is_empty() {
                        set(&mut json, "listing", Json::Array(below));
                    }
                    files.push(json);
                }
                None => files.extend(below),
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn json_file(location: &str, is_document: bool, directory: &str) -> Json {
    let mut json = json!({"class": "File", "location": relative(location, directory)});
    if is_document {
        set(&mut json, "format", Json::from(CWL));
    }
    set_name(&mut json, "File", &basename(location));
    json
}

fn json_of(class: &str, location: &str, directory: &str) -> Json {
    let mut json = json!({"class": class, "location": relative(location, directory)});
    set_name(&mut json, class, &basename(location));
    json
}

fn set_name(json: &mut Json, class: &str, basename: &str) {
    set(json, "basename", Json::from(basename));
    if class == "File" {
        let (root, extension) = split_extension(basename);
        set(json, "nameroot", Json::from(root));
        set(json, "nameext", Json::from(extension));
    }
}

fn set(json: &mut Json, key: &str, value: Json) {
    if let Json::Object(map) = json {
        map.insert(key.to_owned(), value);
    }
}

fn basename(location: &str) -> String {
    let path = uri::split_fragment(location).0.trim_end_matches('/');
    let name = path.rsplit('/').next().unwrap_or(path);
    location::decode(name)
}

/// The path of a local file as seen from a directory; other locations as they are.
fn relative(location: &str, directory: &str) -> String {
    if !location.starts_with("file://") {
        return location.to_owned();
    }
    let Some(path) = location::file_path(location) else { return location.to_owned() };
    let parts = |path: &str| -> Vec<String> {
        path.split('/').filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect()
    };
    let (from, to) = (parts(directory), parts(&path));
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n("..", from.len().saturating_sub(common));
    let steps: Vec<&str> = up.chain(to.iter().skip(common).map(String::as_str)).collect();
    if steps.is_empty() { ".".to_owned() } else { steps.join("/") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_to_the_directory() {
        for (location, directory, expected) in [
            ("file:///a/b/c.txt", "/a/b", "c.txt"),
            ("file:///a/b/c%20d.txt", "/a/b/", "c d.txt"),
            ("file:///a/x/c.txt", "/a/b", "../x/c.txt"),
            ("file:///a/b", "/a/b", "."),
            ("https://example.org/a", "/a", "https://example.org/a"),
        ] {
            assert_eq!(relative(location, directory), expected);
        }
    }

    #[test]
    fn each_file_stands_below_the_one_that_names_it() {
        let main = "{cwlVersion: v1.2, class: Workflow, inputs: {x: {type: File, default: {class: File, location: data/x.txt}}}, outputs: [],
            steps: {a: {run: sub/t.cwl, in: {i: x}, out: []}}}";
        let tool = "{cwlVersion: v1.2, class: CommandLineTool, inputs: {i: File}, outputs: [],
            requirements: {InlineJavascriptRequirement: {expressionLib: [{$include: lib.js}]}}}";
        let loaded = crate::test_support::load_texts(&[
            ("main.cwl", main),
            ("sub/t.cwl", tool),
            ("sub/lib.js", "1"),
            ("data/x.txt", ""),
        ])
        .expect("loads");
        let json: Json = serde_json::from_str(&document_deps(&loaded.document, "/d")).expect("JSON");
        let file = |location: &str, root: &str, extension: &str| json!({"class": "File", "location": location, "basename": format!("{root}{extension}"), "nameroot": root, "nameext": extension});
        let mut tool = file("sub/t.cwl", "t", ".cwl");
        set(&mut tool, "format", Json::from(CWL));
        set(&mut tool, "secondaryFiles", json!([file("sub/lib.js", "lib", ".js")]));
        let expected = json!({"class": "File", "location": "main.cwl", "format": CWL,
            "secondaryFiles": [tool, file("data/x.txt", "x", ".txt")]});
        assert_eq!(json, expected);
    }

    #[test]
    fn inputs_name_files() {
        let inputs = crate::json::parse(
            r#"{"a": [{"class": "File", "location": "file:///d/a.bam", "secondaryFiles": [{"class": "File", "location": "file:///d/a.bai"}]}], "b": 3}"#,
        )
        .expect("JSON");
        let json: Json =
            serde_json::from_str(&input_deps(&inputs, "file:///d/job.json", "/d")).expect("JSON");
        assert_eq!(json["location"], "job.json");
        assert_eq!(json["secondaryFiles"][0]["location"], "a.bam");
        assert_eq!(json["secondaryFiles"][0]["secondaryFiles"][0]["location"], "a.bai");
        assert_eq!(json["secondaryFiles"].as_array().map(Vec::len), Some(1));
    }
}
