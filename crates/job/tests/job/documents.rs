//! The command line tools of all documents that lie about: examples, our own suite, and the official ones
//! where they are.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use moil_cwl::convert;
use moil_cwl::document::{self, LoadOptions};
use moil_cwl::inherit::Inherited;
use moil_cwl::location;
use moil_cwl::process::Process;
use moil_job::spec::JobTool;
use moil_salad::diagnostic::has_errors;
use moil_salad::fetch::Fetch;

/// Files of this machine.
struct Disk;

impl Fetch for Disk {
    fn text(&self, uri: &str) -> Result<String, String> {
        let path = location::file_path(uri).ok_or("not a file")?;
        fs::read_to_string(path).map_err(|error| error.to_string())
    }

    fn exists(&self, uri: &str) -> bool {
        location::file_path(uri).is_some_and(|path| Path::new(&path).exists())
    }
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The tools of our own documents.
pub fn own() -> Vec<JobTool> {
    let mut tools = Vec::new();
    for folder in ["examples", "conformance/suite"] {
        collect(&workspace().join(folder), &mut tools);
    }
    tools
}

/// The tools of the official suites; `None` where they are not beside the project.
pub fn official() -> Option<Vec<JobTool>> {
    let folder = workspace().join("../shared/conformance");
    let mut tools = Vec::new();
    folder.is_dir().then(|| collect(&folder, &mut tools))?;
    Some(tools)
}

fn collect(folder: &Path, tools: &mut Vec<JobTool>) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(&path, tools);
        } else if path.extension().is_some_and(|extension| extension == "cwl") {
            load(&path, tools);
        }
    }
}

/// What cannot be loaded is there to be refused.
fn load(path: &Path, tools: &mut Vec<JobTool>) {
    tools.extend(tools_of(&location::file_uri(path.to_str().unwrap()), &Disk));
}

/// The tools of a document with the requirements in force for them; none if it has faults.
pub fn tools_of(uri: &str, fetch: &dyn Fetch) -> Vec<JobTool> {
    let mut tools = Vec::new();
    let (document, diagnostics) =
        document::load(uri, fetch, LoadOptions { development: true, lenient: true });
    if !has_errors(&diagnostics) {
        for process in convert::convert(&document).processes {
            walk(&process, &Inherited::default(), &mut tools);
        }
    }
    tools
}

fn walk(process: &Process, around: &Inherited, tools: &mut Vec<JobTool>) {
    let common = process.common();
    let inside = around.enter(&common.requirements);
    match process {
        Process::Tool(tool) => tools.push(JobTool {
            tool: Arc::clone(tool),
            effective: Arc::new(inside.effective(common.version)),
            with_siblings: false,
        }),
        Process::Workflow(workflow) => {
            for step in &workflow.steps {
                walk(&step.run, &inside.enter(&step.requirements), tools);
            }
        }
        Process::Generator(generator) => walk(&generator.run, &inside, tools),
        Process::Expression(_) | Process::Operation(_) => {}
    }
}
