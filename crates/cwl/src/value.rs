//! Values of CWL parameters.
//!
//! Cheap to clone: everything large is shared. Nothing here is changed in
//! place once it is shared; who needs another value makes one.

use std::sync::Arc;

use indexmap::IndexMap;

pub use crate::number::Number;

/// A mapping of names to values, in order.
pub type ValueMap = IndexMap<Arc<str>, Value>;

/// A value of a parameter: what an input object, an output object or an expression holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// `null`, also for "not there".
    #[default]
    Null,
    /// A boolean.
    Bool(bool),
    /// An int, long, float or double.
    Number(Number),
    /// A string or an enum symbol.
    String(Arc<str>),
    /// An array.
    List(Arc<Vec<Value>>),
    /// A record, or any mapping that is neither a File nor a Directory.
    Map(Arc<ValueMap>),
    /// A `class: File`.
    File(Arc<File>),
    /// A `class: Directory`.
    Directory(Arc<Directory>),
}

/// A file (CWL v1.2 §"File").
#[derive(Clone, Debug, Default, PartialEq)]
pub struct File {
    /// An absolute URI; `None` for a literal that is not on any disk yet.
    pub location: Option<Arc<str>>,
    /// The name without directories. Always set once an input object is normalised.
    pub basename: Option<Arc<str>>,
    /// `sha1$…`.
    pub checksum: Option<Arc<str>>,
    /// Size in bytes.
    pub size: Option<u64>,
    /// Files that come along, staged beside this one: only `File` and `Directory`.
    pub secondary_files: Arc<Vec<Value>>,
    /// Whether the field `secondaryFiles` is there even if it is empty: where a parameter declares some, or
    /// an object says so. Expressions see the difference.
    pub has_secondary_files: bool,
    /// The full IRI of the file's format.
    pub format: Option<Arc<str>>,
    /// The text of a literal, or what `loadContents` read.
    pub contents: Option<Arc<str>>,
    /// Where the tool sees it. Set only while a job is staged, evaluated and collected; never
    /// stored, sent or part of a memo key: two inputs may be one file under two paths.
    pub path: Option<Arc<str>>,
    /// Fields that CWL does not know; they are handed on.
    pub extra: Arc<ValueMap>,
}

/// A directory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Directory {
    /// An absolute URI; `None` for a literal.
    pub location: Option<Arc<str>>,
    /// The name without directories.
    pub basename: Option<Arc<str>>,
    /// The content of a literal, or what `loadListing` read: only `File` and `Directory`.
    pub listing: Option<Arc<Vec<Value>>>,
    /// Where the tool sees it; see [`File::path`].
    pub path: Option<Arc<str>>,
    /// Fields that CWL does not know; they are handed on.
    pub extra: Arc<ValueMap>,
}

impl Value {
    /// A string.
    pub fn string(text: impl Into<Arc<str>>) -> Self {
        Self::String(text.into())
    }

    /// A list.
    pub fn list(items: Vec<Value>) -> Self {
        Self::List(Arc::new(items))
    }

    /// A record.
    pub fn map(entries: ValueMap) -> Self {
        Self::Map(Arc::new(entries))
    }

    /// Whether this is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The items of a list.
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// The entries of a record.
    pub fn as_map(&self) -> Option<&ValueMap> {
        match self {
            Self::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value of a record's field; null where there is none.
    pub fn field(&self, name: &str) -> &Value {
        static NULL: Value = Value::Null;
        self.as_map().and_then(|entries| entries.get(name)).unwrap_or(&NULL)
    }

    /// Calls `visit` for every file and directory, those inside others before the ones that hold them.
    pub fn visit_files<'a>(&'a self, visit: &mut dyn FnMut(&'a Value)) {
        match self {
            Self::List(items) => items.iter().for_each(|item| item.visit_files(visit)),
            Self::Map(entries) => entries.values().for_each(|item| item.visit_files(visit)),
            Self::File(file) => {
                file.secondary_files.iter().for_each(|item| item.visit_files(visit));
                visit(self);
            }
            Self::Directory(directory) => {
                directory.listing.iter().flat_map(|l| l.iter()).for_each(|item| item.visit_files(visit));
                visit(self);
            }
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) => {}
        }
    }

    /// A copy in which every file and directory was replaced, those inside others first.
    /// Parts without files are shared with the original.
    ///
    /// # Errors
    /// The first error of `change`.
    pub fn try_map_files<E>(&self, change: &mut dyn FnMut(Value) -> Result<Value, E>) -> Result<Value, E> {
        Ok(match self {
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) => self.clone(),
            Self::List(items) => Self::list(map_items(items, change)?),
            Self::Map(entries) => {
                let mut mapped = ValueMap::with_capacity(entries.len());
                for (name, item) in entries.iter() {
                    mapped.insert(Arc::clone(name), item.try_map_files(change)?);
                }
                Self::map(mapped)
            }
            Self::File(file) if file.secondary_files.is_empty() => change(self.clone())?,
            Self::File(file) => {
                let secondary_files = Arc::new(map_items(&file.secondary_files, change)?);
                change(Self::File(Arc::new(File { secondary_files, ..(**file).clone() })))?
            }
            Self::Directory(directory) => match &directory.listing {
                None => change(self.clone())?,
                Some(listing) => {
                    let listing = Some(Arc::new(map_items(listing, change)?));
                    change(Self::Directory(Arc::new(Directory { listing, ..(**directory).clone() })))?
                }
            },
        })
    }
}

fn map_items<E>(items: &[Value], change: &mut dyn FnMut(Value) -> Result<Value, E>) -> Result<Vec<Value>, E> {
    items.iter().map(|item| item.try_map_files(change)).collect()
}

impl File {
    /// The part of the basename before its last dot; all of it when the only dot leads (CWL v1.2, `nameroot`).
    pub fn nameroot(&self) -> Option<&str> {
        self.basename.as_deref().map(|name| split_extension(name).0)
    }

    /// The last dot of the basename and what follows; empty when there is none (CWL v1.2, `nameext`).
    pub fn nameext(&self) -> Option<&str> {
        self.basename.as_deref().map(|name| split_extension(name).1)
    }
}

/// Splits a basename as Python's `os.path.splitext` does: leading dots belong to the root.
pub fn split_extension(name: &str) -> (&str, &str) {
    let leading = name.len() - name.trim_start_matches('.').len();
    match name[leading..].rfind('.') {
        Some(dot) => name.split_at(leading + dot),
        None => (name, ""),
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Number(Number::from(value))
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Number(Number::from(value))
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::String(value.into())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::String(value.into())
    }
}
