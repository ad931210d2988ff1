//! Inputs and outputs of processes.

use std::sync::Arc;

use moil_salad::source::Place;

use crate::text::{NumberOrText, Text};
use crate::types::Type;
use crate::value::Value;

/// An input of a process: `WorkflowInputParameter`, `CommandInputParameter` and their kin in one.
#[derive(Clone, Debug)]
pub struct Input {
    /// The short name, the key in the input object.
    pub name: Arc<str>,
    /// Where it is defined.
    pub place: Place,
    /// `label`.
    pub label: Option<String>,
    /// `doc`.
    pub doc: Option<String>,
    /// The type. A `stdin` shortcut became `File`, and the tool's `stdin` was set.
    pub type_: Type,
    /// `default`; null where there is none.
    pub default: Value,
    /// `secondaryFiles`.
    pub secondary_files: Vec<SecondaryFilePattern>,
    /// `format`: any of these is welcome. Full IRIs, or expressions.
    pub format: Vec<Text>,
    /// `streamable`.
    pub streamable: bool,
    /// `loadContents` (of the parameter, or of its binding in old documents).
    pub load_contents: bool,
    /// `loadListing`.
    pub load_listing: Option<LoadListing>,
    /// `inputBinding`.
    pub binding: Option<CommandLineBinding>,
}

/// An output of a process; the last three fields are for workflows.
#[derive(Clone, Debug)]
pub struct Output {
    /// The short name, the key in the output object.
    pub name: Arc<str>,
    /// Where it is defined.
    pub place: Place,
    /// `label`.
    pub label: Option<String>,
    /// `doc`.
    pub doc: Option<String>,
    /// The type. `stdout` and `stderr` shortcuts became `File` with a binding that globs the stream's name.
    pub type_: Type,
    /// `secondaryFiles`.
    pub secondary_files: Vec<SecondaryFilePattern>,
    /// `format`.
    pub format: Option<Text>,
    /// `streamable`.
    pub streamable: bool,
    /// `outputBinding`.
    pub binding: Option<OutputBinding>,
    /// Which stream's file this is, where the type was `stdout` or `stderr`.
    pub stream: Option<Stream>,
    /// `outputSource` of a workflow's output.
    pub source: SourceList,
}

/// An output stream of a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LoadListing {
    /// `no_listing`.
    None,
    /// `shallow_listing`.
    Shallow,
    /// `deep_listing`.
    Deep,
}

/// One entry of `secondaryFiles` (CWL v1.2 §"SecondaryFileSchema").
#[derive(Clone, Debug, PartialEq)]
pub struct SecondaryFilePattern {
    /// The pattern (`.bai`, `^.dict`) or expression; a trailing `?` became `required: false`.
    pub pattern: Text,
    /// `required`, where the document says.
    pub required: Option<Required>,
}

/// Whether a secondary file must be there.
#[derive(Clone, Debug, PartialEq)]
pub enum Required {
    /// A constant.
    Known(bool),
    /// To be evaluated.
    Text(Text),
}

/// `CommandLineBinding` (CWL v1.2 CommandLineTool).
#[derive(Clone, Debug, PartialEq)]
pub struct CommandLineBinding {
    /// `position`; `None` counts as 0.
    pub position: Option<NumberOrText>,
    /// `prefix`.
    pub prefix: Option<Arc<str>>,
    /// `separate`.
    pub separate: bool,
    /// `itemSeparator`.
    pub item_separator: Option<Arc<str>>,
    /// `valueFrom`.
    pub value_from: Option<Text>,
    /// `shellQuote`.
    pub shell_quote: bool,
    /// `loadContents` of old documents, or on a nested binding.
    pub load_contents: bool,
    /// Where the binding stands.
    pub place: PlaceTag,
}

/// A place that does not take part in comparison.
#[derive(Clone, Debug)]
pub struct PlaceTag(pub Place);

impl PartialEq for PlaceTag {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// `CommandOutputBinding`.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputBinding {
    /// `glob`: patterns or expressions.
    pub glob: Vec<Text>,
    /// `loadContents`.
    pub load_contents: bool,
    /// `loadListing`.
    pub load_listing: Option<LoadListing>,
    /// `outputEval`.
    pub output_eval: Option<Text>,
}
