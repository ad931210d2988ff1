//! The environment: which variables mean something, and their values.
//!
//! Nothing else reads `Invocation::env`.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use crate::argparse::{self, UsageError};
use crate::given::{Given, Layer};
use crate::options::{self, Verdict};

/// One row of the table of variables. Variables that stand for an option are in the table of options.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// The name, or a pattern with `*`.
    pub name: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// What holds without it.
    pub default: &'static str,
    /// What this program does with it.
    pub verdict: Verdict,
}

const fn runs(name: &'static str, meaning: &'static str, default: &'static str) -> Variable {
    Variable { name, meaning, default, verdict: Verdict::Runs }
}

const fn later(
    name: &'static str,
    topic: &'static str,
    meaning: &'static str,
    default: &'static str,
) -> Variable {
    Variable { name, meaning, default, verdict: Verdict::NotYet(topic) }
}

const fn never(name: &'static str, meaning: &'static str, why: &'static str) -> Variable {
    Variable { name, meaning, default: "", verdict: Verdict::NotApplicable(why) }
}

const KUBERNETES: &str = "Kubernetes";
const AWS: &str = "the AWS job store";

/// All variables that stand for no option.
pub const TABLE: &[Variable] = &[
    runs("HOME", "Where `.toil/default.yaml` is looked for.", "no such file"),
    runs("USER", "The owner of Jobs, if no other is named.", "the number of the user"),
    runs("TMPDIR", "Where temporary files go.", "`TEMP`, `TMP`, `/tmp`, `/var/tmp`, `/usr/tmp`"),
    runs("TEMP", "The same, if `TMPDIR` is not set.", ""),
    runs("TMP", "The same, if neither is set.", ""),
    runs("TOIL_WORKDIR_OVERRIDE", "Where temporary files go; beats `--workDir`.", "`--workDir`"),
    runs("NO_COLOR", "Not empty: no colours.", "colours on a terminal"),
    runs("TERM", "`dumb`: no colours.", ""),
    runs("COLUMNS", "Width of the help.", "100"),
    runs("SSL_CERT_FILE", "A file with certificates that https trusts.", "the system's"),
    runs("REQUESTS_CA_BUNDLE", "One more.", ""),
    runs("CURL_CA_BUNDLE", "One more.", ""),
    runs("PATH", "Where programs are found; tools outside containers always see it.", ""),
    runs("TOIL_AWS_SECRET_NAME", "The secret with the credentials for workers.", "none"),
    runs("TOIL_APPLIANCE_SELF", "The image of worker pods.", "none"),
    later("TOIL_DOCKER_REGISTRY", KUBERNETES, "The registry of that image.", "none"),
    later("TOIL_DOCKER_NAME", KUBERNETES, "The name of that image.", "none"),
    runs("KUBERNETES_SERVICE_HOST", "The leader runs in a pod, with which its directories go.", "none"),
    runs("KUBECONFIG", "Files that say how to reach the cluster.", "`~/.kube/config`, service account"),
    runs("DOCKER_CONFIG", "Where `config.json` has credentials of registries.", "`~/.docker`"),
    runs("REGISTRY_AUTH_FILE", "A further file with such credentials.", "none"),
    runs("CWL_SINGULARITY_CACHE", "Where images are kept.", "`images` in `SINGULARITY_CACHEDIR`"),
    runs("CWL_SINGULARITY_IMAGES", "Where unpacked images are.", "none"),
    runs(
        "SINGULARITY_CACHEDIR",
        "Layers of images, and the images.",
        "`~/.apptainer` for layers, `~/.cache/moil/images` for images",
    ),
    runs("APPTAINER_CACHEDIR", "The same; goes before it.", ""),
    runs("SINGULARITY_TMPDIR", "Temporary files of the conversion of images.", "beside the images"),
    runs("APPTAINER_TMPDIR", "The same; goes before it.", ""),
    runs("SINGULARITY_DOCKER_HUB_MIRROR", "A mirror of Docker Hub.", "none"),
    later("TOIL_AWS_ZONE", AWS, "The zone, and so the region, of new job stores.", "`TOIL_AWS_REGION`"),
    later("TOIL_AWS_REGION", AWS, "The region of new job stores.", "as the AWS tools find it"),
    later("TOIL_AWS_PROFILE", AWS, "The profile of the credentials.", "`AWS_PROFILE`"),
    runs("TOIL_AWS_TAGS", "Tags of buckets, as JSON.", "none"),
    runs("TOIL_OWNER_TAG", "The tag `Owner` of buckets.", "none"),
    runs("TOIL_S3_HOST", "Another server than AWS.", "AWS"),
    runs("TOIL_S3_PORT", "Its port.", "80 or 443"),
    runs("TOIL_S3_USE_SSL", "Whether it speaks https.", "true"),
    runs("AWS_*", "Credentials, region and endpoints, as the AWS tools read them.", ""),
    never("KUBE_WATCH_ENABLED", "Watch pods instead of asking again and again.", "pods are always watched"),
    never("TOIL_CHECK_ENV", "Paths of virtual environments.", "there is no Python"),
    never(
        "TOIL_CUSTOM_DOCKER_INIT_COMMAND",
        "A command before the worker.",
        "pods take any command themselves",
    ),
    never("TOIL_CUSTOM_INIT_COMMAND", "The same.", "pods take any command themselves"),
    never("TOIL_RT_LOGGING_ADDRESS", "Where workers send log lines.", "lines are fetched, not sent"),
    never("TOIL_RT_LOGGING_LEVEL", "Which lines.", "lines are fetched, not sent"),
    never("TOIL_HISTORY", "Whether a history of runs is kept.", "none is kept"),
    never("TOIL_JOB_HISTORY", "Whether a history of jobs is kept.", "none is kept"),
    never("CWLTOOL_OPTIONS", "More options.", "toil-cwl-runner does not read it"),
    never("TOIL_AWS_BATCH_*", "AWS Batch.", "jobs do not run there"),
    never("TOIL_SLURM_*", "Slurm.", "jobs do not run there"),
    never("TOIL_GRIDENGINE_*", "Grid Engine.", "jobs do not run there"),
    never("TOIL_TORQUE_*", "Torque.", "jobs do not run there"),
    never("TOIL_LSF_ARGS", "LSF.", "jobs do not run there"),
    never("TOIL_HTCONDOR_*", "HTCondor.", "jobs do not run there"),
    never("TOIL_GOOGLE_PROJECTID", "Google's job store.", "there is no such job store"),
];

/// The environment of an invocation. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: Arc<BTreeMap<OsString, OsString>>,
}

impl Environment {
    /// The last one of several variables with one name wins.
    pub fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Self { variables: Arc::new(variables.into_iter().collect()) }
    }

    /// Any variable, for handing it on to tools.
    pub fn get(&self, name: impl AsRef<OsStr>) -> Option<&OsStr> {
        self.variables.get(name.as_ref()).map(OsString::as_os_str)
    }

    /// A variable of [`TABLE`]. Empty counts as not set.
    pub fn known(&self, name: &'static str) -> Option<&OsStr> {
        debug_assert!(TABLE.iter().any(|variable| variable.name == name), "{name} is not in the table");
        self.get(name).filter(|value| !value.is_empty())
    }

    /// All variables, sorted by name.
    pub fn all(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.variables.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }

    /// The options that variables stand for. Empty counts as not set.
    ///
    /// # Errors
    /// A value that the option does not allow.
    pub fn options(&self) -> Result<Vec<Given>, UsageError> {
        let mut given = Vec::new();
        for option in options::all() {
            let Some(name) = option.variable else { continue };
            let Some(value) = self.get(name).filter(|value| !value.is_empty()) else { continue };
            let text = value
                .to_str()
                .ok_or_else(|| UsageError::new(format!("the variable {name} is not valid UTF-8")))?;
            let value = argparse::checked_value(option, name, text)?;
            given.push(Given { option, spelled: name.to_owned(), value, layer: Layer::Environment });
        }
        Ok(given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::new(variables.iter().map(|(name, value)| (name.into(), value.into())))
    }

    #[test]
    fn variables_stand_for_options_and_empty_ones_do_not() {
        let given = environment(&[("TOIL_WORKDIR", "/scratch"), ("TOIL_RUN_DIR", ""), ("OTHER", "x")])
            .options()
            .expect("they are valid");
        let found: Vec<_> = given.iter().map(|given| (given.option.name(), given.value.as_str())).collect();
        assert_eq!(found, [("--workDir", "/scratch")]);
    }

    #[test]
    fn a_bad_boolean_names_its_variable() {
        let error = environment(&[("TOIL_KUBERNETES_PRIVILEGED", "maybe")]).options().expect_err("it is bad");
        assert_eq!(error.message, "TOIL_KUBERNETES_PRIVILEGED is true or false, not 'maybe'");
    }

    #[test]
    fn no_variable_is_in_the_table_twice() {
        let mut names: Vec<_> = TABLE.iter().map(|variable| variable.name).collect();
        names.extend(options::all().filter_map(|option| option.variable));
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
