//! `cwl.output.json`: an output object that the tool wrote itself (CWL v1.2 CommandLineTool §"Output binding").

use crate::error::Error;
use crate::finished::{Found, Resolver};
use crate::json;
use crate::output_tree::Kind;
use crate::value::{Value, ValueMap};

/// The name of the file in the output directory.
pub const NAME: &str = "cwl.output.json";

/// The output object that the tool wrote, as it stands there; `None` if it wrote none. There is no limit to its size.
///
/// # Errors
/// [`Error::File`] where the file cannot be read, or is no JSON object; a link to the outside.
pub(crate) fn read(resolver: &Resolver<'_>) -> Result<Option<ValueMap>, Error> {
    let path = format!("{}/{NAME}", resolver.outdir());
    let failed = |reason: String| Error::File { location: path.clone(), reason };
    if matches!(resolver.finished().tree.stat(&path)?, None | Some(Kind::Directory)) {
        return Ok(None);
    }
    let (location, size) = match resolver.resolve(&path) {
        Ok(Some(Found::File { path, size })) => (resolver.location_of(&path), size),
        Ok(Some(Found::Staged { location, stat })) => (location, stat.size),
        Ok(Some(Found::Directory { .. }) | None) => return Err(failed("is no file".to_owned())),
        Err(error) => return Err(failed(error.explain(&path)?)),
    };
    let bytes = resolver.finished().files.read_prefix(&location, size)?;
    let text = String::from_utf8(bytes).map_err(|_| failed("is not UTF-8".to_owned()))?;
    match json::parse(&text).map_err(failed)? {
        Value::Map(entries) => Ok(Some((*entries).clone())),
        other => {
            Err(failed(format!("holds {}, but must hold an output object", crate::conform::describe(&other))))
        }
    }
}
