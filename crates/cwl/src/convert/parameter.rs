//! Inputs, outputs and their bindings.

use moil_salad::node::{Kind, Node};

use super::cursor::{Cursor, text};
use super::{Converter, short_name};
use crate::parameter::{
    CommandLineBinding, Input, LinkMerge, LoadListing, Output, OutputBinding, PickValue, PlaceTag, Required,
    SecondaryFilePattern, SourceList, Stream,
};
use crate::types::Type;

/// What an input's type asked of the tool around it.
pub(super) struct InputExtras {
    /// The type was `stdin`.
    pub stdin: bool,
}

impl Converter<'_> {
    /// An input of a process. `is_tool` allows the `stdin` shortcut.
    pub(super) fn input(&self, node: &Node, is_tool: bool) -> Option<(Input, InputExtras)> {
        let cursor = Cursor::new(node, "InputParameter", &self.findings)?;
        let name = short_name(cursor.required("id")?.as_str()?).into();
        let type_node = cursor.required("type");
        let stdin = is_tool && type_node.and_then(Self::shortcut) == Some("stdin");
        let binding = cursor.get("inputBinding").and_then(|node| self.binding(node));
        if stdin && binding.is_some() {
            let message = format!("the input `{name}` of type `stdin` cannot have an `inputBinding`");
            self.findings.error("stdin-binding", cursor.place_of("inputBinding"), message);
        }
        let input = Input {
            name,
            place: node.place.clone(),
            label: cursor.doc("label"),
            doc: cursor.doc("doc"),
            type_: match type_node {
                _ if stdin => Type::File,
                Some(node) => self.type_(node),
                None => Type::Any,
            },
            default: cursor.value("default"),
            secondary_files: self.secondary_files(&cursor),
            format: cursor.texts("format"),
            streamable: cursor.flag("streamable", false) || stdin,
            load_contents: cursor.flag("loadContents", false)
                || binding.as_ref().is_some_and(|binding| binding.load_contents),
            load_listing: self.load_listing(&cursor),
            binding,
        };
        self.check_format(&cursor, &input.name, &input.type_);
        cursor.finish();
        Some((input, InputExtras { stdin }))
    }

    /// An output of a process, without its sources. `is_tool` allows the `stdout` and `stderr` shortcuts,
    /// whose bindings are filled in by the tool.
    pub(super) fn output(&self, node: &Node, is_tool: bool) -> Option<Output> {
        let cursor = Cursor::new(node, "OutputParameter", &self.findings)?;
        cursor.ignore(&["outputSource", "linkMerge", "pickValue"]);
        let name = short_name(cursor.required("id")?.as_str()?).into();
        let type_node = cursor.required("type");
        let stream = match type_node.and_then(Self::shortcut) {
            Some("stdout") if is_tool => Some(Stream::Stdout),
            Some("stderr") if is_tool => Some(Stream::Stderr),
            _ => None,
        };
        let binding = cursor.get("outputBinding").and_then(|node| self.output_binding(node));
        if stream.is_some() && binding.is_some() {
            let message = format!("the output `{name}` of a stream's type cannot have an `outputBinding`");
            self.findings.error("stream-binding", cursor.place_of("outputBinding"), message);
        }
        let output = Output {
            name,
            place: node.place.clone(),
            label: cursor.doc("label"),
            doc: cursor.doc("doc"),
            type_: match type_node {
                _ if stream.is_some() => Type::File,
                Some(node) => self.type_(node),
                None => Type::Any,
            },
            secondary_files: self.secondary_files(&cursor),
            format: cursor.text("format"),
            streamable: cursor.flag("streamable", false) || stream.is_some(),
            binding,
            stream,
            source: SourceList::default(),
        };
        self.check_format(&cursor, &output.name, &output.type_);
        cursor.finish();
        Some(output)
    }

    /// `format` says nothing about values that hold no file.
    fn check_format(&self, cursor: &Cursor, name: &str, type_: &Type) {
        if cursor.get("format").is_some() && !may_hold_file(type_, 0) {
            self.findings.add(moil_salad::diagnostic::Diagnostic::warning(
                "format-without-file",
                cursor.place_of("format"),
                format!("`format` is ignored: `{name}` holds no File"),
            ));
        }
    }

    /// `inputBinding`, or an entry of `arguments`.
    pub(super) fn binding(&self, node: &Node) -> Option<CommandLineBinding> {
        let cursor = Cursor::new(node, "CommandLineBinding", &self.findings)?;
        let binding = CommandLineBinding {
            position: cursor.number("position"),
            prefix: cursor.string("prefix"),
            separate: cursor.flag("separate", true),
            item_separator: cursor.string("itemSeparator"),
            value_from: cursor.text("valueFrom"),
            shell_quote: cursor.flag("shellQuote", true),
            load_contents: cursor.flag("loadContents", false),
            place: PlaceTag(node.place.clone()),
        };
        cursor.finish();
        Some(binding)
    }

    /// `outputBinding`.
    pub(super) fn output_binding(&self, node: &Node) -> Option<OutputBinding> {
        let cursor = Cursor::new(node, "CommandOutputBinding", &self.findings)?;
        let binding = OutputBinding {
            glob: cursor.texts("glob"),
            load_contents: cursor.flag("loadContents", false),
            load_listing: self.load_listing(&cursor),
            output_eval: cursor.text("outputEval"),
        };
        cursor.finish();
        Some(binding)
    }

    /// `secondaryFiles`.
    pub(super) fn secondary_files(&self, cursor: &Cursor) -> Vec<SecondaryFilePattern> {
        let mut patterns = Vec::new();
        for node in cursor.list("secondaryFiles") {
            let Some(entry) = Cursor::new(node, "SecondaryFileSchema", &self.findings) else { continue };
            let required = entry.get("required").and_then(|node| match (&node.kind, text(node)) {
                (Kind::Bool(value), _) => Some(Required::Known(*value)),
                (_, Some(text)) => Some(Required::Text(text)),
                _ => {
                    entry.wrong("required", node, "a boolean or an expression");
                    None
                }
            });
            entry.required("pattern");
            if let Some(pattern) = entry.text("pattern") {
                patterns.push(SecondaryFilePattern { pattern, required });
            }
            entry.finish();
        }
        patterns
    }

    /// `loadListing`.
    pub(super) fn load_listing(&self, cursor: &Cursor) -> Option<LoadListing> {
        self.symbol(
            cursor,
            "loadListing",
            &[
                ("no_listing", LoadListing::None),
                ("shallow_listing", LoadListing::Shallow),
                ("deep_listing", LoadListing::Deep),
            ],
        )
    }

    /// `linkMerge`.
    pub(super) fn link_merge(&self, cursor: &Cursor) -> Option<LinkMerge> {
        self.symbol(
            cursor,
            "linkMerge",
            &[("merge_nested", LinkMerge::Nested), ("merge_flattened", LinkMerge::Flattened)],
        )
    }

    /// `pickValue`.
    pub(super) fn pick_value(&self, cursor: &Cursor) -> Option<PickValue> {
        self.symbol(
            cursor,
            "pickValue",
            &[
                ("first_non_null", PickValue::FirstNonNull),
                ("the_only_non_null", PickValue::TheOnlyNonNull),
                ("all_non_null", PickValue::AllNonNull),
            ],
        )
    }

    /// A field that holds one of several words.
    pub(super) fn symbol<T: Copy>(&self, cursor: &Cursor, field: &str, symbols: &[(&str, T)]) -> Option<T> {
        let text = cursor.str(field)?;
        let found =
            symbols.iter().find(|(symbol, _)| *symbol == text || text.ends_with(&format!("#{symbol}")));
        if found.is_none() {
            let known: Vec<String> = symbols.iter().map(|(symbol, _)| format!("`{symbol}`")).collect();
            let message = format!("`{field}` must be one of {}, not {text:?}", known.join(", "));
            self.findings.error("invalid-symbol", cursor.place_of(field), message);
        }
        found.map(|(_, value)| *value)
    }
}

/// Whether a value of the type may be or hold a File.
fn may_hold_file(type_: &Type, depth: usize) -> bool {
    match type_ {
        Type::File | Type::Any => true,
        Type::Array(array) => depth < 64 && may_hold_file(&array.items, depth + 1),
        Type::Record(record) => {
            depth < 8 && record.fields.iter().any(|field| may_hold_file(&field.type_, depth + 1))
        }
        Type::Union(types) => depth < 64 && types.iter().any(|type_| may_hold_file(type_, depth + 1)),
        _ => false,
    }
}
