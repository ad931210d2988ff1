//! How long what a pod waits for may take.

use std::time::Duration;

use moil_job::failure::{Failure, FailureKind};
use moil_kubernetes::outcome::Standing;
use moil_kubernetes::waiting::{Wait, Why};

use crate::told;

const TIMEOUT: Duration = Duration::from_secs(100);

/// Time, as seconds from the beginning.
fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn lost() -> Failure {
    Failure::new(FailureKind::Lost, "its node is gone")
}

/// The ends of the waits of a pod that stood so at these times.
fn ends(stands: &[(u64, Standing)]) -> Vec<Option<u64>> {
    let mut wait = None;
    let mut ends = Vec::new();
    for (now, standing) in stands {
        wait = Wait::after(wait, standing, at(*now), TIMEOUT);
        ends.push(wait.as_ref().and_then(|wait| wait.until).map(|until| until.as_secs()));
    }
    ends
}

#[test]
fn waits_begin_anew_when_they_are_for_something_else_and_not_before() {
    let image = || Standing::NoImage("words".into());
    let cases = [
        (vec![(0, Standing::Waiting(None)), (9, Standing::Running)], vec![None, None]),
        (
            vec![
                (1, Standing::Starting(None)),
                (5, Standing::Starting(Some("w".into()))),
                (9, Standing::Running),
            ],
            vec![Some(101), Some(101), None],
        ),
        (
            vec![(1, image()), (50, image()), (60, Standing::Starting(None))],
            vec![Some(101), Some(101), Some(160)],
        ),
        (
            vec![(1, image()), (2, Standing::Starting(None)), (9, image())],
            vec![Some(101), Some(102), Some(109)],
        ),
        (vec![(3, Standing::Running), (5, Standing::Leaving(at(30), lost()))], vec![None, Some(95)]),
    ];
    for (stands, expected) in cases {
        assert_eq!(ends(&stands), expected, "{stands:?}");
    }
}

#[test]
fn fetching_an_image_takes_as_long_as_it_takes() {
    let mut wait = Wait::after(None, &Standing::Starting(None), at(0), TIMEOUT).expect("it waits");
    wait.fetching(at(5), TIMEOUT, false);
    assert_eq!(wait.until, None);
    let mut wait = Wait::after(Some(wait), &Standing::Starting(None), at(900), TIMEOUT).expect("it waits");
    assert_eq!(wait.until, None, "the same state told again ends nothing");
    wait.fetching(at(950), TIMEOUT, true);
    assert_eq!(wait.until, Some(at(1050)));
}

#[test]
fn what_is_given_up_says_what_it_waited_for() {
    let mounts = Some("MountVolume failed");
    let gone = || Failure::new(FailureKind::Lost, "its pod was deleted on node-7");
    let cases = [
        (Why::Image("manifest unknown".into()), Some("node-7"), None),
        (Why::Start(None), Some("node-7"), mounts),
        (Why::Start(None), None, None),
        (Why::Start(Some("secret \"s\" not found".into())), Some("node-7"), None),
        (Why::Leave(gone()), Some("node-7"), None),
        (Why::Leave(gone().with_cause("words of Kubernetes")), None, None),
    ];
    let told = cases.map(|(why, node, heard)| {
        let wait = Wait { why, until: Some(at(0)) };
        told(&wait.given_up("example.org/image:1", node, heard, TIMEOUT))
    });
    insta::assert_snapshot!(told.join("\n\n"));
}
