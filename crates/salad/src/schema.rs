//! Kinds of documents as data.
//!
//! A schema is a text in the notation below; [`Schema::parse`] turns a base text and any number of
//! changes to it (older versions, extensions) into tables that one walker works from.
//!
//! ```text
//! # A comment.
//! option nested-arrays                  a flag that the walker knows
//! vocabulary https://w3id.org/cwl/cwl#  names below this IRI are the schema's own
//! namespace cwltool http://…#           classes written `cwltool:X` in the schema
//! root Process                          what a document, or a member of its $graph, is
//!
//! enum ScatterMethod = dotproduct | flat_crossproduct
//! union Process = Tool | Workflow       a name for alternatives
//!
//! record Tool : Process class=Tool      a mapping; fields of the records behind `:` come first
//!     id?: string @id                   an optional field, alternatives, annotations
//!     inputs: Input[] @map(id,type)
//!
//! change Tool                           in a change: alters a record that is there
//!     - intent                          takes a field away
//!     hints?: any                       adds or replaces a field
//! remove Operation                      takes a record out of all alternatives
//! ```
//!
//! Alternatives are `null`, `boolean`, `int`, `long`, `float`, `string`, `expression` (a string with
//! `$(` or `${`), `any` (everything but null), names, and lists of them (`X[]`, `(X | Y)[]`).
//!
//! | annotation | means |
//! |---|---|
//! | `@id` | names the mapping; becomes absolute and opens a scope |
//! | `@idref` | the name of something that is defined elsewhere in the same scope |
//! | `@define` | strings (or mappings with an id) that are names themselves |
//! | `@link(n)` | names something defined; looked for from the `n`th scope outwards |
//! | `@reference` | the URI of an object in this or another document |
//! | `@uri` | a URI, made absolute, never looked for |
//! | `@path` | a path, made an absolute URI |
//! | `@iri` | an IRI by prefix, or a name in this document |
//! | `@map(subject[,predicate])` | may be written as a mapping |
//! | `@type` | `x?`, `x[]`; names of types |
//! | `@secondary` | `x?` stands for `{pattern: x, required: false}` |
//! | `@symbols` | symbols of an enumeration |
//! | `@scope(name)` | what is inside has its names below `name` |
//! | `@open` | mappings of unknown class are allowed, with a warning |

use std::collections::HashMap;

/// A parsed schema.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    records: Vec<Record>,
    enums: Vec<Enumeration>,
    record_names: HashMap<String, usize>,
    roots: Vec<Type>,
    /// Classes of records, for messages about unknown ones.
    classes: Vec<String>,
    /// The IRI below which names are the schema's own.
    pub vocabulary: String,
    /// Prefixes that the schema itself uses for classes of extensions.
    pub namespaces: Vec<(String, String)>,
    /// `option nested-arrays`: `string[][]` may be written.
    pub nested_arrays: bool,
}

/// A kind of mapping.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its name in the schema.
    pub name: String,
    /// The field and value that tell it from others, such as `("class", "Workflow")`.
    pub mark: Option<(String, String)>,
    /// Its fields, without the one that marks it.
    pub fields: Vec<Field>,
}

/// A field of a [`Record`].
#[derive(Clone, Debug)]
pub struct Field {
    /// The name.
    pub name: String,
    /// Whether the field must be there.
    pub required: bool,
    /// What it may be, any of these.
    pub types: Vec<Type>,
    /// What its strings mean.
    pub role: Role,
    /// How it may be written as a mapping: the field of the key, and that of the value.
    pub map: Option<(String, Option<String>)>,
    /// Whether mappings of unknown class are allowed.
    pub open: bool,
    /// A scope of its own for what is inside.
    pub scope: Option<String>,
}

/// What the strings of a field mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Nothing in particular.
    #[default]
    Text,
    /// `@id`
    Id,
    /// `@idref`
    IdRef,
    /// `@define`
    Define,
    /// `@link(n)`
    Link(u32),
    /// `@reference`
    Reference,
    /// `@uri`
    Uri,
    /// `@path`
    Path,
    /// `@iri`
    Iri,
    /// `@type`
    Type,
    /// `@secondary`
    Secondary,
    /// `@symbols`
    Symbols,
}

/// One alternative of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    /// `null`
    Null,
    /// `boolean`
    Boolean,
    /// `int`: 32 bits.
    Int,
    /// `long`: 64 bits.
    Long,
    /// `float`: any number.
    Float,
    /// `string`
    String,
    /// `expression`
    Expression,
    /// `any`
    Any,
    /// One of some words.
    Enum(usize),
    /// A mapping.
    Record(usize),
    /// A list.
    List(Vec<Type>),
}

/// Words that a value may be.
#[derive(Clone, Debug)]
pub struct Enumeration {
    /// Its name in the schema.
    pub name: String,
    /// The words.
    pub symbols: Vec<String>,
}

/// What is wrong with a schema text: line (counted through all texts) and words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("schema line {line}: {message}")]
pub struct SchemaError {
    /// The line in its text.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

impl Schema {
    /// Parses a base and the changes to it, in order.
    ///
    /// # Errors
    /// The first fault of the notation, or a name that is not defined.
    pub fn parse(texts: &[&str]) -> Result<Self, SchemaError> {
        let mut parser = parse::Parser::default();
        for text in texts {
            parser.text(text)?;
        }
        parser.finish()
    }

    /// What a document, or a member of its `$graph`, may be.
    pub fn roots(&self) -> &[Type] {
        &self.roots
    }

    /// The record of an index that stands in a [`Type`].
    pub fn record(&self, index: usize) -> Option<&Record> {
        self.records.get(index)
    }

    /// The record of a name.
    pub fn record_named(&self, name: &str) -> Option<&Record> {
        self.record_names.get(name).and_then(|index| self.records.get(*index))
    }

    /// All records.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The enumeration of an index that stands in a [`Type`].
    pub fn enumeration(&self, index: usize) -> Option<&Enumeration> {
        self.enums.get(index)
    }

    /// Whether some record has this class.
    pub fn knows_class(&self, class: &str) -> bool {
        self.classes.iter().any(|known| known == class)
    }
}

impl Record {
    /// The field of a name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The field that names the mapping.
    pub fn id_field(&self) -> Option<&Field> {
        self.fields.iter().find(|field| field.role == Role::Id)
    }

    /// Whether `name` is the field that marks the record.
    pub fn is_mark(&self, name: &str) -> bool {
        self.mark.as_ref().is_some_and(|(field, _)| field == name)
    }
}

/// The items of all lists among the alternatives.
pub fn item_types(types: &[Type]) -> Vec<&Type> {
    types
        .iter()
        .filter_map(|t| match t {
            Type::List(items) => Some(items),
            _ => None,
        })
        .flatten()
        .collect()
}

#[path = "schema_parse.rs"]
mod parse;
