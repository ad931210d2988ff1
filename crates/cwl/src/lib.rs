//! CWL v1.0, v1.1 and v1.2 on top of [`moil_salad`]: documents become
//! processes, and pure functions prepare a step, build a command line and
//! collect an output object. Nothing here touches a disk but through
//! [`files::Files`], or another document but through [`moil_salad::fetch::Fetch`].

pub mod conform;
pub mod document;
pub mod error;
pub mod expression;
pub mod file_fields;
pub mod file_object;
pub mod files;
pub mod inherit;
mod javascript;
pub mod json;
pub mod load_contents;
pub mod location;
pub mod merge;
pub mod number;
pub mod ontology;
pub mod parameter;
pub mod parameter_reference;
pub mod print;
pub mod process;
pub mod requirement;
pub mod scatter;
pub mod text;
pub mod types;
pub mod value;
mod wire;

#[cfg(test)]
mod preparing_fixture;
