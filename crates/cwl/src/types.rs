//! Types of parameters, after shorthands and names were resolved.

use std::ops::Not;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::parameter::{CommandLineBinding, LoadListing, OutputBinding, SecondaryFilePattern};
use crate::text::Text;

/// A type of a parameter or field (CWL v1.2 §"Types"). Names of SchemaDef types are
/// resolved: a named type is shared by all that name it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordType {
    /// The full IRI, if it has a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Arc<str>>,
    /// The fields in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<RecordField>,
    /// How the record as a whole goes to the command line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binding: Option<CommandLineBinding>,
}

/// A field of a record type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordField {
    /// The short name, the key in the record's value.
    pub name: Arc<str>,
    /// The field's type.
    #[serde(rename = "type")]
    pub type_: Type,
    /// `label`.
    #[serde(skip)]
    pub label: Option<String>,
    /// `doc`.
    #[serde(skip)]
    pub doc: Option<String>,
    /// `secondaryFiles`, for File types.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secondary_files: Vec<SecondaryFilePattern>,
    /// `format`: which formats an input takes (any of several), or the one an output has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub format: Vec<Text>,
    /// `streamable`.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub streamable: bool,
    /// `loadContents`.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub load_contents: bool,
    /// `loadListing`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_listing: Option<LoadListing>,
    /// `inputBinding`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_binding: Option<CommandLineBinding>,
    /// `outputBinding`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_binding: Option<OutputBinding>,
}

/// An enumeration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnumType {
    /// The full IRI, if it has a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Arc<str>>,
    /// The symbols by their short names, as they stand in values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub symbols: Vec<Arc<str>>,
    /// `inputBinding` of the type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binding: Option<CommandLineBinding>,
}

/// An array type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArrayType {
    /// The type of the items.
    pub items: Type,
    /// `inputBinding` of the type: applies to each item.
    #[serde(skip_serializing_if = "Option::is_none")]
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
