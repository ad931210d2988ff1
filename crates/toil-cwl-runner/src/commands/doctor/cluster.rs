//! `moil doctor --batchSystem kubernetes`.

use std::sync::Arc;

use moil_jobstore::locator::Locator;
use moil_jobstore::nonce::nonce;
use moil_kubernetes::doctor::{Check, Doctor, Stop};
use moil_kubernetes::settings::Settings as PodSettings;

use super::facts::{self, Where};
use super::{STORE, try_store};
use crate::commands::words::Asked;
use crate::elsewhere::{self, OfRun};
use crate::job_store;

const IMAGE: &str = "worker image";
const POD: &str = "pod";

/// All checks: the API server, the job store, then a pod.
pub(super) fn look(asked: &Asked, stop: &Stop) -> Vec<Check> {
    let (settings, log) = (&asked.settings, asked.log.clone());
    let warn = Arc::new(move |text: String| log.warning(text));
    let mut checks = Vec::new();
    let run = format!("doctor-{}", &nonce()[..12]);
    let store = job_store::name(settings);
    let mut words = vec!["doctor", "--inside"];
    if let Some(image) = asked.value("--image") {
        words.extend(["--image", image]);
    }
    let of = OfRun {
        run: &run,
        store: &store,
        in_directory: matches!(settings.store.locator, Some(Locator::File(_))),
    };
    let pods = elsewhere::pods(settings, &of, &words, &*warn);
    let pods: Option<PodSettings> = match pods {
        Ok(pods) => {
            checks.push(Check::ok(IMAGE, pods.image.clone()));
            Some(pods)
        }
        Err(failure) => {
            checks.push(Check::of(IMAGE, failure));
            None
        }
    };
    // Without one, what can be looked at is looked at all the same.
    let known = pods.clone().unwrap_or_else(|| elsewhere::place_of_pods(settings));
    let doctor = match Doctor::new(&known, stop.clone(), warn) {
        Ok(doctor) => doctor,
        Err(failure) => {
            checks.insert(0, Check::of("cluster", failure));
            return checks;
        }
    };
    let (found, can_make) = doctor.look(&known);
    checks.splice(0..0, found);
    if stop.is_wanted() {
        return checks;
    }
    let taken = match try_store(asked, true) {
        Ok((found, taken)) => {
            checks.push(Check::ok(STORE, found));
            Some(taken)
        }
        Err(reason) => {
            checks.push(Check::failed(STORE, reason, facts::store_advice(Where::Here)));
            None
        }
    };
    checks.extend(match pods {
        None => vec![Check::unknown(POD, "none was made: there is no image for it")],
        Some(_) if !can_make => vec![Check::unknown(POD, "none was made, for want of rights")],
        Some(pods) => doctor.look_in_a_pod(&pods),
    });
    if let Some(taken) = taken {
        taken();
    }
    checks
}
