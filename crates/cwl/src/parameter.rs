//! Inputs and outputs of processes.

use std::ops::Not;
use std::sync::Arc;

use moil_salad::source::Place;
use serde::{Deserialize, Serialize};

use crate::text::{NumberOrText, Text};
use crate::types::Type;
use crate::value::Value;

/// An input of a process: `WorkflowInputParameter`, `CommandInputParameter` and their kin in one.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    /// The short name, the key in the input object.
    pub name: Arc<str>,
    /// Where it is defined.
    pub place: Place,
    /// `label`.
    #[serde(skip)]
    pub label: Option<String>,
    /// `doc`.
    #[serde(skip)]
    pub doc: Option<String>,
    /// The type. A `stdin` shortcut became `File`, and the tool's `stdin` was set.
    #[serde(rename = "type")]
    pub type_: Type,
    /// `default`; null where there is none.
    #[serde(skip)]
    pub default: Value,
    /// `secondaryFiles`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secondary_files: Vec<SecondaryFilePattern>,
    /// `format`: any of these is welcome. Full IRIs, or expressions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub format: Vec<Text>,
    /// `streamable`.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub streamable: bool,
    /// `loadContents` (of the parameter, or of its binding in old documents).
    #[serde(default, skip_serializing_if = "Not::not")]
    pub load_contents: bool,
    /// `loadListing`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_listing: Option<LoadListing>,
    /// `inputBinding`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binding: Option<CommandLineBinding>,
}

/// An output of a process; the last three fields are for workflows.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// The short name, the key in the output object.
    pub name: Arc<str>,
    /// Where it is defined.
    pub place: Place,
    /// `label`.
    #[serde(skip)]
    pub label: Option<String>,
    /// `doc`.
    #[serde(skip)]
    pub doc: Option<String>,
    /// The type. `stdout` and `stderr` shortcuts became `File` with a binding that globs the stream's name.
    #[serde(rename = "type")]
    pub type_: Type,
    /// `secondaryFiles`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secondary_files: Vec<SecondaryFilePattern>,
    /// `format`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Text>,
    /// `streamable`.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub streamable: bool,
    /// `outputBinding`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binding: Option<OutputBinding>,
    /// Which stream's file this is, where the type was `stdout` or `stderr`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<Stream>,
    /// `outputSource` of a workflow's output.
    #[serde(skip)]
    pub source: SourceList,
}

/// An output stream of a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Where the value of a step input or a workflow output comes from.
#[derive(Clone, Debug, Default)]
pub struct SourceList {
    /// The sources in order.
    pub links: Vec<Link>,
    /// Whether the document wrote a list, even of one: then the links are merged.
    pub is_list: bool,
    /// `linkMerge`; `None` where the document does not say.
    pub link_merge: Option<LinkMerge>,
    /// `pickValue`.
    pub pick_value: Option<PickValue>,
}

/// One source: an input of the workflow, or an output of one of its steps.
#[derive(Clone, Debug)]
pub struct Link {
    /// Where the link is written.
    pub place: Place,
    /// What it names.
    pub target: LinkTarget,
}

/// What a link names, by position in the workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkTarget {
    /// The workflow's input at this index.
    Input(usize),
    /// An output of a step.
    Step {
        /// Index of the step.
        step: usize,
        /// Index into the step's `out`.
        output: usize,
    },
}

/// `linkMerge` (CWL v1.2 Workflow §"LinkMergeMethod").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkMerge {
    /// `merge_nested`: one item per link.
    Nested,
    /// `merge_flattened`: lists are concatenated.
    Flattened,
}

/// `pickValue` (CWL v1.2 Workflow §"PickValueMethod").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PickValue {
    /// `first_non_null`.
    FirstNonNull,
    /// `the_only_non_null`.
    TheOnlyNonNull,
    /// `all_non_null`.
    AllNonNull,
}

/// `loadListing` (CWL v1.2 §"LoadListingEnum").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LoadListing {
    /// `no_listing`.
    None,
    /// `shallow_listing`.
    Shallow,
    /// `deep_listing`.
    Deep,
}

/// One entry of `secondaryFiles` (CWL v1.2 §"SecondaryFileSchema").
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecondaryFilePattern {
    /// The pattern (`.bai`, `^.dict`) or expression; a trailing `?` became `required: false`.
    pub pattern: Text,
    /// `required`, where the document says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required: Option<Required>,
}

/// Whether a secondary file must be there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Required {
    /// A constant.
    Known(bool),
    /// To be evaluated.
    Text(Text),
}

/// `CommandLineBinding` (CWL v1.2 CommandLineTool).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandLineBinding {
    /// `position`; `None` counts as 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<NumberOrText>,
    /// `prefix`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<Arc<str>>,
    /// `separate`.
    pub separate: bool,
    /// `itemSeparator`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item_separator: Option<Arc<str>>,
    /// `valueFrom`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_from: Option<Text>,
    /// `shellQuote`.
    pub shell_quote: bool,
    /// `loadContents` of old documents, or on a nested binding.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub load_contents: bool,
    /// Where the binding stands.
    pub place: PlaceTag,
}

/// A place that does not take part in comparison.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PlaceTag(pub Place);

impl PartialEq for PlaceTag {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// `CommandOutputBinding`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutputBinding {
    /// `glob`: patterns or expressions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub glob: Vec<Text>,
    /// `loadContents`.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub load_contents: bool,
    /// `loadListing`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_listing: Option<LoadListing>,
    /// `outputEval`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_eval: Option<Text>,
}
