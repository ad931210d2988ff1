//! Schemas as data: a small notation for the types of records that a document may hold.
//!
//! ```text
//! # a comment
//! union Process = CommandLineTool | Workflow      alternatives, told apart by their constant fields
//! union Hint open = DockerRequirement | …         `open`: others are let through unchecked
//! union Rule extensible = Requirement | …         so are those of other vocabularies alone (`x:Rule`)
//! group ProcessFields                             fields that several records share
//!     id?      : string                 @id
//! record Workflow : ProcessFields
//!     class    : "Workflow"                       a constant
//!     steps    : Step[]                 @map(id)
//!     - intent                                    takes a field away (in a delta)
//! record File open                                unknown fields are kept
//! primitives string File                          names of types that need no definition
//! remove Operation                                takes a record away (in a delta)
//! option nested-arrays                            the shorthand of types nests, and stands anywhere: `string[][]`
//! ```
//!
//! A field's type is one or more of `string`, `expression` (a string that holds one), `bool`, `int` (32
//! bits), `long` (64 bits), `float` (which takes whole numbers too), `null` (in lists), `any`, a constant in quotes, the name of a record or union, and lists of these (`Step[]`).
//!
//! | mark | meaning |
//! |---|---|
//! | `@id` | an identifier: made absolute, and the scope of what is inside |
//! | `@define` | with `@id`: the record is a type that others may name |
//! | `@link(n)` | names something in the scope n levels further out |
//! | `@ids` | a list of links or of records with an `@id`, of which only the identifiers are kept |
//! | `@ref` | a record in place, or the URI of one elsewhere |
//! | `@map(s)`, `@map(s, p)` | a list that may be written as a mapping from field `s` (to field `p`) |
//! | `@type`, `@type(plain)` | a type, with or without the shorthand: `string[]?` |
//! | `@secondary` | the shorthand of secondary files: `.bai?` |
//! | `@symbols` | names of which only the last part counts |
//! | `@format` | an IRI, perhaps with a prefix, unless it holds an expression |
//! | `@uri` | a URI relative to the document |
//! | `@path` | a path relative to the document; becomes the field `location` |
//! | `@many` | one item stands for a list of one |

use std::collections::HashMap;

use indexmap::IndexMap;

/// A schema: the types of records by name.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    records: HashMap<String, Record>,
    groups: HashMap<String, IndexMap<String, Field>>,
    unions: HashMap<String, Union>,
    primitives: Vec<String>,
    /// Whether the shorthand of types nests (`string[][]`), and stands in plain types as well.
    pub nested_arrays: bool,
}

/// A type of records.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// Its name, for messages.
    pub name: String,
    /// Its fields, in the order in which they are walked.
    pub fields: IndexMap<String, Field>,
    /// Whether fields that are not listed are kept.
    pub open: bool,
}

/// Alternatives.
#[derive(Clone, Debug, Default)]
pub struct Union {
    /// Names of records and other unions.
    pub members: Vec<String>,
    /// Whether records of other types are let through.
    pub open: bool,
    /// Whether records of other vocabularies are let through: those whose type has a prefix.
    pub extensible: bool,
}

/// A field of a record.
#[derive(Clone, Debug)]
pub struct Field {
    /// Whether it must be there.
    pub required: bool,
    /// What it may be.
    pub types: Vec<Type>,
    /// What else is to be known about it.
    pub marks: Marks,
}

/// What a value may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// A string.
    String,
    /// A boolean.
    Bool,
    /// A string with an expression in it.
    Expression,
    /// A whole number of 32 bits.
    Int,
    /// A whole number of 64 bits.
    Long,
    /// Any number.
    Float,
    /// Null, where it means something: elsewhere a field that is null is not there.
    Null,
    /// Anything.
    Any,
    /// Exactly this string.
    Constant(String),
    /// A record, or one of a union.
    Named(String),
    /// A list.
    List(Vec<Type>),
}

/// The marks of a field; see the [module](self).
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the table of the module explains each")]
pub struct Marks {
    pub id: bool,
    pub define: bool,
    pub link: Option<usize>,
    pub ids: bool,
    pub reference: bool,
    pub map: Option<(String, Option<String>)>,
    pub type_: bool,
    pub plain: bool,
    pub secondary: bool,
    pub symbols: bool,
    pub format: bool,
    pub uri: bool,
    pub path: bool,
    pub many: bool,
}

impl Schema {
    /// A schema from its text.
    ///
    /// # Errors
    /// The line that is wrong: a defect of whoever wrote the schema.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::default().extended(text)
    }

    /// This schema with what another text adds, replaces and takes away.
    ///
    /// # Errors
    /// As with [`parse`](Self::parse).
    pub fn extended(mut self, text: &str) -> Result<Self, String> {
        let mut at = Open::Nothing;
        for (number, line) in text.lines().enumerate() {
            let line = line.split("  #").next().unwrap_or_default();
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let result = if line.starts_with(char::is_whitespace) {
                self.field(&at, line.trim())
            } else {
                self.heading(line).map(|opened| at = opened)
            };
            result.map_err(|problem| format!("line {}: {problem}", number + 1))?;
        }
        Ok(self)
    }

    /// The record of a name.
    pub fn record(&self, name: &str) -> Option<&Record> {
        self.records.get(name)
    }

    /// The union of a name.
    pub fn union(&self, name: &str) -> Option<&Union> {
        self.unions.get(name)
    }

    /// The names of types that need no definition.
    pub fn primitives(&self) -> &[String] {
        &self.primitives
    }

    /// Whether identifiers are called so in some record.
    pub fn is_identifier(&self, name: &str) -> bool {
        let mut records = self.records.values();
        records.any(|record| record.fields.get(name).is_some_and(|field| field.marks.id))
    }

    /// The records that a name stands for: the record itself, or all those of a union.
    pub fn candidates<'a>(&'a self, name: &str, into: &mut Vec<&'a Record>) {
        if let Some(record) = self.records.get(name) {
            into.push(record);
        } else if let Some(union) = self.unions.get(name) {
            union.members.iter().for_each(|member| self.candidates(member, into));
        }
    }

    fn heading(&mut self, line: &str) -> Result<Open, String> {
        let (word, rest) = line.split_once(' ').ok_or("a heading needs a name")?;
        match word {
            "union" => {
                let (head, members) = rest.split_once('=').ok_or("a union needs `=`")?;
                let mut head = head.split_whitespace();
                let name = head.next().ok_or("a union needs a name")?;
                let union = self.unions.entry(name.to_owned()).or_default();
                match head.next() {
                    Some("open") => union.open = true,
                    Some("extensible") => union.extensible = true,
                    Some(word) => return Err(format!("unknown word {word}")),
                    None => {}
                }
                for member in members.split('|').map(str::trim).filter(|member| !member.is_empty()) {
                    if !union.members.iter().any(|known| known == member) {
                        union.members.push(member.to_owned());
                    }
                }
                Ok(Open::Nothing)
            }
            "group" => {
                self.groups.entry(rest.trim().to_owned()).or_default();
                Ok(Open::Group(rest.trim().to_owned()))
            }
            "record" => {
                let (name, groups) = rest.split_once(" : ").unwrap_or((rest, ""));
                let (name, open) = match name.trim().strip_suffix(" open") {
                    Some(name) => (name.trim(), true),
                    None => (name.trim(), false),
                };
                let mut inherited = IndexMap::new();
                for group in groups.split(',').map(str::trim).filter(|group| !group.is_empty()) {
                    let fields = self.groups.get(group).ok_or_else(|| format!("no group {group}"))?;
                    inherited.extend(fields.clone());
                }
                let record = self.records.entry(name.to_owned()).or_default();
                record.name = name.to_owned();
                record.open |= open;
                record.fields.extend(inherited);
                Ok(Open::Record(name.to_owned()))
            }
            "primitives" => {
                self.primitives.extend(rest.split_whitespace().map(str::to_owned));
                Ok(Open::Nothing)
            }
            "option" if rest.trim() == "nested-arrays" => {
                self.nested_arrays = true;
                Ok(Open::Nothing)
            }
            "remove" => {
                let name = rest.trim();
                self.records.remove(name).ok_or_else(|| format!("no record {name}"))?;
                for union in self.unions.values_mut() {
                    union.members.retain(|member| member != name);
                }
                Ok(Open::Nothing)
            }
            _ => Err(format!("unknown word {word}")),
        }
    }

    fn field(&mut self, at: &Open, line: &str) -> Result<(), String> {
        let fields = match at {
            Open::Record(name) => self.records.get_mut(name).map(|record| &mut record.fields),
            Open::Group(name) => self.groups.get_mut(name),
            Open::Nothing => None,
        };
        let fields = fields.ok_or("a field outside of a record")?;
        if let Some(name) = line.strip_prefix("- ") {
            return match fields.shift_remove(name.trim()) {
                Some(_) => Ok(()),
                None => Err(format!("no field {name}")),
            };
        }
        let (name, rest) = line.split_once(':').ok_or("a field needs a type")?;
        let name = name.trim();
        let (types, marks) = rest.find('@').map_or((rest, ""), |at| rest.split_at(at));
        let field = Field {
            required: !name.ends_with('?'),
            types: types.split('|').map(parse_type).collect::<Result<_, _>>()?,
            marks: parse_marks(marks)?,
        };
        fields.insert(name.trim_end_matches('?').to_owned(), field);
        Ok(())
    }
}

enum Open {
    Nothing,
    Record(String),
    Group(String),
}

impl Record {
    /// The constant fields: what tells this record from others.
    pub fn constants(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().filter_map(|(name, field)| match field.types.as_slice() {
            [Type::Constant(value)] => Some((name.as_str(), value.as_str())),
            _ => None,
        })
    }
}

fn parse_type(text: &str) -> Result<Type, String> {
    let text = text.trim();
    if let Some(item) = text.strip_suffix("[]") {
        let item = item.strip_prefix('(').and_then(|item| item.strip_suffix(')')).unwrap_or(item);
        return Ok(Type::List(item.split('/').map(parse_type).collect::<Result<_, _>>()?));
    }
    Ok(match text {
        "string" => Type::String,
        "bool" => Type::Bool,
        "expression" => Type::Expression,
        "int" => Type::Int,
        "long" => Type::Long,
        "float" => Type::Float,
        "null" => Type::Null,
        "any" => Type::Any,
        "" => return Err("a type is missing".to_owned()),
        _ => match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
            Some(constant) => Type::Constant(constant.to_owned()),
            None => Type::Named(text.to_owned()),
        },
    })
}

fn parse_marks(text: &str) -> Result<Marks, String> {
    let mut marks = Marks::default();
    for mark in text.split('@').map(str::trim).filter(|mark| !mark.is_empty()) {
        let (name, arguments) = match mark.split_once('(') {
            Some((name, arguments)) => (name, arguments.trim_end_matches(')')),
            None => (mark, ""),
        };
        match name {
            "id" => marks.id = true,
            "define" => marks.define = true,
            "link" => {
                let levels = arguments.parse().map_err(|_| "`@link` needs a number".to_owned())?;
                marks.link = Some(levels);
            }
            "ids" => marks.ids = true,
            "ref" => marks.reference = true,
            "map" => {
                let mut words = arguments.split(',').map(|word| word.trim().to_owned());
                let subject = words.next().filter(|word| !word.is_empty()).ok_or("`@map` needs a field")?;
                marks.map = Some((subject, words.next()));
            }
            "type" => {
                marks.type_ = true;
                marks.plain = arguments == "plain";
            }
            "secondary" => marks.secondary = true,
            "symbols" => marks.symbols = true,
            "format" => marks.format = true,
            "uri" => marks.uri = true,
            "path" => marks.path = true,
            "many" => marks.many = true,
            _ => return Err(format!("unknown mark @{name}")),
        }
    }
    Ok(marks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_inherit_groups_and_deltas_change_them() {
        let base =
            "group G\n    id? : string @id\nrecord A : G\n    class : \"A\"\n    x? : int | string[]\n";
        let schema =
            Schema::parse(base).and_then(|schema| schema.extended("record A\n    - x\n    y : bool\n"));
        let schema = schema.expect("a schema");
        let fields: Vec<&str> = schema.record("A").expect("A").fields.keys().map(String::as_str).collect();
        assert_eq!(fields, ["id", "class", "y"]);
    }

    #[test]
    fn mistakes_name_their_line() {
        for (text, line) in [("record A\n    x : \n", 2), ("x : y\n", 1), ("record A\n    - x\n", 2)] {
            let problem = Schema::parse(text).expect_err(text);
            assert!(problem.starts_with(&format!("line {line}:")), "{problem}");
        }
    }
}
