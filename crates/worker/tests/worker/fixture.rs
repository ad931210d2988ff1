//! Tools, jobs and an executor to run them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use moil_cwl::inherit::Effective;
use moil_cwl::location::file_uri;
use moil_cwl::parameter::{Input, Output, OutputBinding, SourceList};
use moil_cwl::process::{Argument, CommandLineTool, Common, Version};
use moil_cwl::requirement::Requirements;
use moil_cwl::text::Text;
use moil_cwl::types::Type;
use moil_cwl::value::{File, Value, ValueMap};
use moil_job::executor::{Executor as _, Report};
use moil_job::failure::Failure;
use moil_job::resources::Resources;
use moil_job::result::{JobResult, Outcome};
use moil_job::secret::SecretStore;
use moil_job::spec::{Attempt, AttemptId, Job, JobId, JobTool};
use moil_job::wire;
use moil_salad::source::{Place, Source};
use moil_worker::config::WorkerConfig;
use moil_worker::local::LocalExecutor;
use moil_worker::spawner::Spawner;

pub fn place() -> Place {
    Place::start_of(&Arc::new(Source { uri: "file:///tool.cwl".into(), text: String::new() }))
}

pub fn text(text: &str) -> Text {
    Text { text: text.into(), place: place() }
}

/// A job while it is put together.
pub struct Plan {
    pub tool: CommandLineTool,
    pub effective: Effective,
    pub inputs: ValueMap,
    /// The names of the inputs that are secrets.
    pub secrets: Vec<Arc<str>>,
}

/// A job that runs a shell script.
pub fn script(script: &str) -> Plan {
    command(&["sh", "-c", script])
}

/// A job that runs a command; from the first word on that refers to inputs or runtime, words are expressions.
pub fn command(words: &[&str]) -> Plan {
    let refers = |word: &str| word.starts_with("$(inputs.") || word.starts_with("$(runtime.");
    let (fixed, evaluated) =
        words.split_at(words.iter().position(|word| refers(word)).unwrap_or(words.len()));
    Plan {
        tool: CommandLineTool {
            common: Common {
                id: "file:///tool.cwl".into(),
                place: place(),
                version: Version::V1_2,
                label: None,
                doc: None,
                inputs: Vec::new(),
                outputs: Vec::new(),
                requirements: Requirements::default(),
            },
            base_command: fixed.iter().map(|word| (*word).into()).collect(),
            arguments: evaluated.iter().map(|word| Argument::Text(text(word))).collect(),
            stdin: None,
            stdout: None,
            stderr: None,
            success_codes: Vec::new(),
            temporary_fail_codes: Vec::new(),
            permanent_fail_codes: Vec::new(),
        },
        effective: Effective::none(Version::V1_2),
        inputs: ValueMap::new(),
        secrets: Vec::new(),
    }
}

impl Plan {
    pub fn input(mut self, name: &str, type_: Type, value: Value) -> Self {
        self.tool.common.inputs.push(Input {
            name: name.into(),
            place: place(),
            label: None,
            doc: None,
            type_,
            default: Value::Null,
            secondary_files: Vec::new(),
            format: Vec::new(),
            streamable: false,
            load_contents: false,
            load_listing: None,
            binding: None,
        });
        self.inputs.insert(name.into(), value);
        self
    }

    pub fn output(mut self, name: &str, type_: Type, glob: &str) -> Self {
        let binding = OutputBinding {
            glob: vec![text(glob)],
            load_contents: false,
            load_listing: None,
            output_eval: None,
        };
        self.tool.common.outputs.push(Output {
            name: name.into(),
            place: place(),
            label: None,
            doc: None,
            type_,
            secondary_files: Vec::new(),
            format: None,
            streamable: false,
            binding: Some(binding),
            stream: None,
            source: SourceList::default(),
        });
        self
    }

    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The inputs with this name are secrets.
    pub fn secret(mut self, name: &str) -> Self {
        self.secrets.push(name.into());
        self
    }

    /// The attempt as a worker in another process would read it.
    pub fn attempt(mut self) -> Attempt {
        let store = SecretStore::new(&[7; 32]);
        store.hide_inputs(&self.secrets, &mut self.inputs).unwrap();
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let id = JobId(format!("step[{}]", NEXT.fetch_add(1, Ordering::Relaxed)).into());
        let job = Job {
            id: id.clone(),
            name: "step".into(),
            tool: Arc::new(JobTool {
                tool: Arc::new(self.tool),
                effective: Arc::new(self.effective),
                with_siblings: false,
            }),
            inputs: Value::map(self.inputs),
            requested: RESOURCES,
            key: None,
        };
        let secrets = store.mentioned(&job.inputs);
        let attempt =
            Attempt { id: AttemptId { job: id, number: 1 }, job: Arc::new(job), granted: RESOURCES, secrets };
        let tool = wire::write_tool(&attempt.job.tool).unwrap();
        let written = wire::write_attempt(&attempt, &tool.hash).unwrap();
        let tool = wire::read_tool(&tool.text, &tool.hash).unwrap();
        wire::read_attempt(&written).unwrap().with(Arc::new(tool), attempt.secrets)
    }
}

pub const RESOURCES: Resources =
    Resources { cores: 1.5, ram_mib: 256, tmpdir_mib: 1024, outdir_mib: 1024, gpus: 0 };

pub fn file(path: &Path) -> Value {
    let basename = path.file_name().unwrap().to_str().unwrap();
    Value::File(Arc::new(File {
        location: Some(file_uri(path.to_str().unwrap()).into()),
        basename: Some(basename.into()),
        ..File::default()
    }))
}

/// An executor with a place to work in.
pub struct Bench {
    pub dir: tempfile::TempDir,
    pub executor: LocalExecutor,
    pub reports: Receiver<Report>,
}

impl Bench {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut WorkerConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = WorkerConfig::new(Spawner::start().unwrap(), dir.path().join("work"));
        change(&mut config);
        let (sender, reports) = channel();
        let sender = Mutex::new(sender);
        let reporter = Arc::new(move |report| {
            // Nobody listens after the test.
            let _ = sender.lock().unwrap().send(report);
        });
        Self { dir, executor: LocalExecutor::new(config, reporter).unwrap(), reports }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file that existed before the run.
    pub fn given(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    pub fn submit(&mut self, plan: Plan) -> AttemptId {
        let attempt = plan.attempt();
        let id = attempt.id.clone();
        self.executor.submit(vec![attempt]);
        id
    }

    pub fn finished(&self) -> (AttemptId, Outcome) {
        loop {
            match self.reports.recv_timeout(Duration::from_secs(60)).unwrap() {
                Report::Finished(id, outcome) => return (id, outcome),
                Report::Note(..) | Report::Placed(..) | Report::Output(..) | Report::ToolEnded(_) => {}
            }
        }
    }

    /// Waits until the tools of so many attempts have written `name` into their output directories.
    pub fn wait_for(&self, count: usize, name: &str) {
        for _ in 0..6_000 {
            let there = std::fs::read_dir(self.path("work")).into_iter().flatten().flatten();
            if there.filter(|attempt| attempt.path().join("out").join(name).exists()).count() == count {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{name} was not written");
    }

    pub fn run(&mut self, plan: Plan) -> Outcome {
        let id = self.submit(plan);
        let (finished, outcome) = self.finished();
        assert_eq!(finished, id);
        outcome
    }

    pub fn succeed(&mut self, plan: Plan) -> JobResult {
        match self.run(plan) {
            Outcome::Done(result) => result,
            Outcome::Failed(failure) => panic!("{failure:#?}"),
        }
    }

    pub fn fail(&mut self, plan: Plan) -> Failure {
        match self.run(plan) {
            Outcome::Done(result) => panic!("{result:?}"),
            Outcome::Failed(failure) => *failure,
        }
    }

    /// The directories of attempts.
    pub fn attempts(&self) -> Vec<PathBuf> {
        std::fs::read_dir(self.path("work")).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

/// The path of an output file or directory.
pub fn path_of(value: &Value) -> PathBuf {
    let location = match value {
        Value::File(file) => file.location.clone(),
        Value::Directory(directory) => directory.location.clone(),
        other => panic!("{other:?}"),
    };
    moil_worker::files::path_of(&location.unwrap()).unwrap()
}

/// The content of an output file.
pub fn content(value: &Value) -> String {
    std::fs::read_to_string(path_of(value)).unwrap()
}

/// The file in a value.
pub fn as_file(value: &Value) -> &File {
    match value {
        Value::File(file) => file,
        other => panic!("{other:?}"),
    }
}
