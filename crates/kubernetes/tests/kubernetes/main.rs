//! What is made for an attempt, and what is read of its pod.

mod events;
mod manifest;
mod outcome;
mod waiting;

/// A failure as people read it.
fn told(failure: &moil_job::failure::Failure) -> String {
    let fact = |name: &str, text: &Option<String>| {
        text.as_ref().map(|text| format!("\n  {name:<8} {text}")).unwrap_or_default()
    };
    let (kind, message) = (&failure.kind, &failure.message);
    format!("{kind:?}: {message}{}{}", fact("because", &failure.cause), fact("try", &failure.advice))
}
