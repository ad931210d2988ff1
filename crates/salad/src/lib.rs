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
//! | [`reader`] | texts become trees |
//! | [`scalar`] | what a plain scalar means |
//! | [`uri`] | joining URIs; file names in URIs |
//! | [`diagnostic`] | what is wrong with a document |
//! | [`render`] | how that is printed |
//! | [`fetch`] | the trait by which other documents are read |
//! | [`schema`] | the notation for kinds of documents |
//! | [`walk`] | resolving and checking a document by a schema |

pub mod diagnostic;
pub mod fetch;
pub mod node;
pub mod reader;
pub mod scalar;
pub mod schema;
pub mod source;
pub mod uri;
