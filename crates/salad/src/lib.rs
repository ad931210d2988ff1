//! Schema Salad documents: YAML or JSON text becomes nodes that know their
//! place; a schema, given as data, drives one walker that resolves imports,
//! identifiers, links and shorthands, and reports every fault at once.
//!
//! This crate knows no CWL. Where to find what:
//!
//! | module | holds |
//! |---|---|
//! | [`source`] | source texts and places in them |
//! | [`node`] | the document tree |
//! | [`diagnostic`] | what is wrong with a document, and how it is printed |
//! | [`reader`], [`scalar`] | text to nodes |
//! | [`schema`] | the notation in which schemas are written |
//! | [`walk`] | the walker |
//! | [`uri`] | joining references, parts of identifiers |
//! | [`suggest`] | "did you mean" |
//! | [`fetch`] | the trait by which other documents are read |

pub mod diagnostic;
pub mod fetch;
pub mod node;
pub mod reader;
pub mod scalar;
pub mod schema;
pub mod source;
pub mod suggest;
pub mod uri;
pub mod walk;
