//! Objects in YAML or JSON, for systems that speak JSON.

use std::sync::Arc;

use moil_salad::reader;
use moil_salad::source::Source;

/// Reads one document. `name` is what it is called in messages.
///
/// # Errors
/// It is none, or empty.
pub(crate) fn read(name: &str, text: &str) -> Result<serde_json::Value, String> {
    let source = Source { uri: name.to_owned(), text: text.to_owned() };
    let (node, diagnostics) = reader::read(&Arc::new(source));
    if let Some(diagnostic) = diagnostics.first() {
        return Err(diagnostic.message.clone());
    }
    let node = node.ok_or_else(|| "it is empty".to_owned())?;
    let text = moil_cwl::print::compact(&moil_cwl::json::from_node(&node));
    serde_json::from_str(&text).map_err(|error| error.to_string())
}
