//! Tools without a container that run one after the other and are not to see each other.

use std::sync::Arc;

use moil_cwl::types::Type;
use moil_worker::apart::Apart;

use crate::fixture::*;

/// A bench that keeps attempts apart; `None` where that cannot be done.
fn bench() -> Option<Bench> {
    let mut works = false;
    let bench = Bench::with(|config| {
        config.apart = Apart::new(&config.spawner, &config.work_root).expect("tried").map(Arc::new);
        works = config.apart.is_some();
    });
    #[expect(clippy::disallowed_methods, reason = "it tells tests what has to be there")]
    let required = std::env::var("MOIL_REQUIRE").unwrap_or_default();
    assert!(works || !required.contains("apptainer"), "no namespaces can be made here");
    works.then_some(bench)
}

/// What a line of the shell says.
fn said(bench: &mut Bench, line: &str) -> String {
    let tool = command(&["sh", "-c", line]).output("out", Type::File, "said.txt");
    let result = bench.succeed(tool.with(|plan| plan.tool.stdout = Some(text("said.txt"))));
    content(result.outputs.field("out"))
}

#[test]
fn what_a_tool_leaves_anywhere_is_not_there_for_the_next_one() {
    let Some(mut bench) = bench() else { return };
    let places = "/tmp/leaked /var/tmp/leaked /dev/shm/leaked";
    let leaves = format!(
        "for at in {places}; do echo secret >$at && cat $at; done; \
         (setsid sleep 4711 >/dev/null 2>&1 &); export LEAKED=1; echo more >\"$TMPDIR/leaked\""
    );
    assert_eq!(said(&mut bench, &leaves), "secret\nsecret\nsecret\n");
    let looks = format!(
        "ls {places} $TMPDIR/leaked 2>/dev/null; grep -az '^4711$' /proc/[0-9]*/cmdline 2>/dev/null; echo \"$LEAKED.\""
    );
    assert_eq!(said(&mut bench, &looks), ".\n");
    for place in places.split(' ') {
        assert!(!std::path::Path::new(place).exists(), "{place}");
    }
}

#[test]
fn a_tool_can_change_nothing_but_its_own_directories() {
    let Some(mut bench) = bench() else { return };
    let line = "for at in /moil-changed /usr/moil-changed /etc/moil-changed; do \
        (echo x >$at) 2>/dev/null && echo $at; done; echo made >here && cat here && pwd | grep -q /out && echo well";
    assert_eq!(said(&mut bench, line), "made\nwell\n");
}
