//! What is run, and what a job store keeps of that.

use super::super::Action;
use super::super::error::SettingsError;
use super::Source;
use crate::argparse::UsageError;
use crate::definition::KEPT;

impl Source<'_> {
    pub(super) fn workflow(
        &self,
        workflow: Option<String>,
        action: Action,
        job_store_word: Option<&str>,
    ) -> Result<String, SettingsError> {
        let Some(workflow) = workflow else {
            if action == Action::PrintSupportedVersions {
                return Ok(String::new());
            }
            let error = UsageError::new("no workflow is given");
            let hint = match job_store_word {
                Some(word) => format!("'{word}' was taken for the job store"),
                None => "name a CWL file, and after it the file with its inputs".to_owned(),
            };
            return Err(error.with_hint(hint).into());
        };
        if workflow.ends_with(".py") {
            return Err(SettingsError::Refused(
                UsageError::new(format!("'{workflow}' is a Python program"))
                    .with_hint("this program runs CWL documents; Python workflows of Toil need Toil"),
            ));
        }
        Ok(workflow)
    }

    pub(super) fn kept(&self) -> Vec<(&'static str, String)> {
        let values = |key: &'static str| -> Vec<(&'static str, String)> {
            let given = self.given.every(key);
            given
                .map(|given| match key {
                    "--overrides" => (key, self.cwd.join(&given.value).to_string_lossy().into_owned()),
                    _ => (key, given.value.clone()),
                })
                .collect()
        };
        KEPT.iter().flat_map(|key| values(key)).collect()
    }
}
