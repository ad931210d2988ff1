//! Processes: what a document becomes once it is loaded.
//!
//! Everything is in the form of CWL v1.2; [`Common::version`] tells what the
//! document was written in, for the few places where the meaning differs.

use std::sync::Arc;

use moil_salad::source::Place;
use serde::{Deserialize, Serialize};

use crate::number::Number;
use crate::parameter::LoadListing;
use crate::parameter::{Input, Output, SourceList};
use crate::requirement::Requirements;
use crate::text::Text;
use crate::value::Value;

/// The version that a document was written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Version {
    /// `v1.0`, and the drafts of it.
    #[serde(rename = "v1.0")]
    V1_0,
    /// `v1.1`.
    #[serde(rename = "v1.1")]
    V1_1,
    /// `v1.2`.
    #[serde(rename = "v1.2")]
    V1_2,
    /// `v1.3.0-dev1`: v1.2 with loops.
    #[serde(rename = "v1.3.0-dev1")]
    V1_3Dev,
}

/// Any process.
#[derive(Clone, Debug)]
pub enum Process {
    /// `class: CommandLineTool`.
    Tool(Arc<CommandLineTool>),
    /// `class: ExpressionTool`.
    Expression(Arc<ExpressionTool>),
    /// `class: Workflow`.
    Workflow(Arc<Workflow>),
    /// `class: Operation`: loaded and checked, never run.
    Operation(Arc<Operation>),
    /// `class: cwltool:ProcessGenerator`.
    Generator(Arc<ProcessGenerator>),
}

/// What all classes of processes have.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Common {
    /// The absolute IRI: `file:///x/wf.cwl` or `file:///x/wf.cwl#main/step/run`.
    pub id: Arc<str>,
    /// Where it stands.
    pub place: Place,
    /// What it was written in.
    pub version: Version,
    /// `label`.
    #[serde(skip)]
    pub label: Option<String>,
    /// `doc`.
    #[serde(skip)]
    pub doc: Option<String>,
    /// The inputs in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Input>,
    /// The outputs in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<Output>,
    /// The process's own requirements and hints; inherited ones are added by [`crate::inherit`].
    #[serde(skip)]
    pub requirements: Requirements,
}

/// `class: CommandLineTool`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandLineTool {
    /// What all processes have.
    pub common: Common,
    /// `baseCommand`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub base_command: Vec<Arc<str>>,
    /// `arguments`, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<Argument>,
    /// `stdin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdin: Option<Text>,
    /// `stdout`; given a name of its own where only a shortcut type asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdout: Option<Text>,
    /// `stderr`; likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stderr: Option<Text>,
    /// `successCodes`; empty means 0 alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub success_codes: Vec<i64>,
    /// `temporaryFailCodes`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub temporary_fail_codes: Vec<i64>,
    /// `permanentFailCodes`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permanent_fail_codes: Vec<i64>,
}

/// An entry of `arguments`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Argument {
    /// A string or expression at position 0.
    Text(Text),
    /// A binding with `valueFrom`.
    Binding(crate::parameter::CommandLineBinding),
}

/// `class: ExpressionTool`.
#[derive(Clone, Debug)]
pub struct ExpressionTool {
    /// What all processes have.
    pub common: Common,
    /// `expression`.
    pub expression: Text,
}

/// `class: Operation`.
#[derive(Clone, Debug)]
pub struct Operation {
    /// What all processes have.
    pub common: Common,
}

/// `class: cwltool:ProcessGenerator`: runs a process whose output `runProcess` is the process to run.
#[derive(Clone, Debug)]
pub struct ProcessGenerator {
    /// What all processes have.
    pub common: Common,
    /// `run`: the process that writes the process.
    pub run: Process,
}

/// `class: Workflow`.
#[derive(Clone, Debug)]
pub struct Workflow {
    /// What all processes have.
    pub common: Common,
    /// The steps in the order of the document.
    pub steps: Vec<Step>,
}

/// A step of a workflow.
#[derive(Clone, Debug)]
pub struct Step {
    /// The short name.
    pub name: Arc<str>,
    /// Where it stands.
    pub place: Place,
    /// `label`.
    pub label: Option<String>,
    /// `run`.
    pub run: Process,
    /// `in`.
    pub inputs: Vec<StepInput>,
    /// `out`: short names, each an output of `run`.
    pub outputs: Vec<Arc<str>>,
    /// `scatter`: short names of step inputs.
    pub scatter: Vec<Arc<str>>,
    /// `scatterMethod`; where several inputs are scattered it is always given.
    pub scatter_method: Option<ScatterMethod>,
    /// `when`.
    pub when: Option<Text>,
    /// `cwltool:Loop` or v1.3's `loop`.
    pub loop_: Option<Loop>,
    /// The step's own requirements and hints.
    pub requirements: Requirements,
}

/// An input of a step.
#[derive(Clone, Debug)]
pub struct StepInput {
    /// The short name.
    pub name: Arc<str>,
    /// Where it stands.
    pub place: Place,
    /// `source`, `linkMerge`, `pickValue`.
    pub source: SourceList,
    /// `default`; null where there is none.
    pub default: Value,
    /// `valueFrom`.
    pub value_from: Option<Text>,
    /// `loadContents`.
    pub load_contents: bool,
    /// `loadListing`.
    pub load_listing: Option<LoadListing>,
}

/// `scatterMethod`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScatterMethod {
    /// `dotproduct`.
    Dot,
    /// `nested_crossproduct`.
    NestedCross,
    /// `flat_crossproduct`.
    FlatCross,
}

/// A loop of a step (`cwltool:Loop`, and `loop`/`outputMethod` of v1.3).
#[derive(Clone, Debug)]
pub struct Loop {
    /// The condition that goes on, evaluated before each round.
    pub when: Text,
    /// What each input becomes in the next round.
    pub inputs: Vec<LoopInput>,
    /// What the step puts out.
    pub output: LoopOutput,
}

/// An input of the next round.
#[derive(Clone, Debug)]
pub struct LoopInput {
    /// The short name of the step input.
    pub name: Arc<str>,
    /// `loopSource`/`outputSource`: short names of the step's outputs.
    pub sources: Vec<Arc<str>>,
    /// Whether the document wrote a list.
    pub is_list: bool,
    /// `linkMerge`.
    pub link_merge: Option<crate::parameter::LinkMerge>,
    /// `pickValue`.
    pub pick_value: Option<crate::parameter::PickValue>,
    /// `default`.
    pub default: Value,
    /// `valueFrom`.
    pub value_from: Option<Text>,
}

/// What a loop puts out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoopOutput {
    /// `last`/`last_iteration`.
    Last,
    /// `all`/`all_iterations`.
    All,
}

impl Process {
    /// What all processes have.
    pub fn common(&self) -> &Common {
        match self {
            Self::Tool(tool) => &tool.common,
            Self::Expression(tool) => &tool.common,
            Self::Workflow(workflow) => &workflow.common,
            Self::Operation(operation) => &operation.common,
            Self::Generator(generator) => &generator.common,
        }
    }

    /// The name of the class, as documents write it.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Tool(_) => "CommandLineTool",
            Self::Expression(_) => "ExpressionTool",
            Self::Workflow(_) => "Workflow",
            Self::Operation(_) => "Operation",
            Self::Generator(_) => "ProcessGenerator",
        }
    }
}

impl Common {
    /// The input of a name.
    pub fn input(&self, name: &str) -> Option<&Input> {
        self.inputs.iter().find(|input| &*input.name == name)
    }

    /// The output of a name.
    pub fn output(&self, name: &str) -> Option<&Output> {
        self.outputs.iter().find(|output| &*output.name == name)
    }
}

/// Exit codes count as success when nothing says otherwise.
impl CommandLineTool {
    /// How an exit code is to be taken (CWL v1.2 CommandLineTool, `successCodes` and its kin).
    pub fn classify_exit(&self, code: i64) -> ExitClass {
        if self.success_codes.contains(&code) {
            ExitClass::Success
        } else if self.temporary_fail_codes.contains(&code) {
            ExitClass::TemporaryFail
        } else if self.permanent_fail_codes.contains(&code) || code != 0 {
            ExitClass::PermanentFail
        } else {
            ExitClass::Success
        }
    }
}

/// How an exit code is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitClass {
    /// The tool succeeded.
    Success,
    /// It may succeed when tried again.
    TemporaryFail,
    /// It will not.
    PermanentFail,
}

/// The number of a position or code.
pub type Position = Number;
