//! How the walker gets at other documents.

/// Reads the texts that documents name. The binary gives one that knows files and http.
pub trait Fetch: Sync {
    /// The text behind an absolute URI (without its fragment).
    ///
    /// # Errors
    /// The reason in words, fit to be shown after "cannot read URI: ".
    fn text(&self, uri: &str) -> Result<String, String>;

    /// Whether something is there, without reading it.
    fn exists(&self, uri: &str) -> bool;
}
