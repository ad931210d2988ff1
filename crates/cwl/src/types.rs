//! Types of parameters, after shorthands and names were resolved.

use std::sync::Arc;

use crate::parameter::{CommandLineBinding, LoadListing, OutputBinding, SecondaryFilePattern};
use crate::text::Text;

/// A type of a parameter or field (CWL v1.2 §"Types"). Names of SchemaDef types are
/// resolved: a named type is shared by all that name it.
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    /// `null`.
    Null,
    /// `boolean`.
    Boolean,
    /// `int`: 32 bits.
    Int,
    /// `long`: 64 bits.
    Long,
    /// `float`.
    Float,
    /// `double`.
    Double,
    /// `string`.
    String,
    /// `File`.
    File,
    /// `Directory`.
    Directory,
    /// `Any`: everything but null.
    Any,
    /// `stdin` (an input), `stdout`, `stderr` (outputs) are replaced by `File` and a binding while
    /// loading; they never get here.
    Record(Arc<RecordType>),
    /// An enumeration.
    Enum(Arc<EnumType>),
    /// An array.
    Array(Arc<ArrayType>),
    /// Any of several, in the order of the document.
    Union(Arc<Vec<Type>>),
}

/// A record type.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordType {
    /// The full IRI, if it has a name.
    pub name: Option<Arc<str>>,
    /// The fields in order.
    pub fields: Vec<RecordField>,
    /// How the record as a whole goes to the command line.
    pub binding: Option<CommandLineBinding>,
}

/// A field of a record type.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordField {
    /// The short name, the key in the record's value.
    pub name: Arc<str>,
    /// The field's type.
    pub type_: Type,
    /// `label`.
    pub label: Option<String>,
    /// `doc`.
    pub doc: Option<String>,
    /// `secondaryFiles`, for File types.
    pub secondary_files: Vec<SecondaryFilePattern>,
    /// `format`: which formats an input takes (any of several), or the one an output has.
    pub format: Vec<Text>,
    /// `streamable`.
    pub streamable: bool,
    /// `loadContents`.
    pub load_contents: bool,
    /// `loadListing`.
    pub load_listing: Option<LoadListing>,
    /// `inputBinding`.
    pub input_binding: Option<CommandLineBinding>,
    /// `outputBinding`.
    pub output_binding: Option<OutputBinding>,
}

/// An enumeration.
#[derive(Clone, Debug, PartialEq)]
pub struct EnumType {
    /// The full IRI, if it has a name.
    pub name: Option<Arc<str>>,
    /// The symbols by their short names, as they stand in values.
    pub symbols: Vec<Arc<str>>,
    /// `inputBinding` of the type.
    pub binding: Option<CommandLineBinding>,
}

/// An array type.
#[derive(Clone, Debug, PartialEq)]
pub struct ArrayType {
    /// The type of the items.
    pub items: Type,
    /// `inputBinding` of the type: applies to each item.
    pub binding: Option<CommandLineBinding>,
}

impl Type {
    /// The alternatives: those of a union, or the type alone.
    pub fn alternatives(&self) -> &[Type] {
        match self {
            Self::Union(types) => types,
            other => std::slice::from_ref(other),
        }
    }

    /// Whether null is one of the alternatives.
    pub fn is_optional(&self) -> bool {
        self.alternatives().contains(&Self::Null)
    }

    /// An array of this type.
    pub fn array_of(self) -> Self {
        Self::Array(Arc::new(ArrayType { items: self, binding: None }))
    }
}
