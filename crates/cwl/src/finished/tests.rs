use super::*;
use crate::job_fixture::Memory;

fn staged() -> Vec<StagingEntry> {
    let entry = |location: &str, is_directory, target: &str, writable| StagingEntry {
        source: StagingSource::Location { location: location.into(), is_directory },
        target: target.into(),
        writable,
    };
    vec![
        entry("file:///data/in%20put.txt", false, "/stage/0/in put.txt", false),
        entry("file:///data/dir", true, "/stage/1/dir", false),
        entry("file:///data/dir", true, "/out/linked", false),
        entry("file:///data/copy.txt", false, "/out/copied", true),
        StagingEntry {
            source: StagingSource::Literal("x".into()),
            target: "/stage/2/lit".into(),
            writable: false,
        },
    ]
}

fn resolved(path: &str) -> String {
    let tree = Memory::new(&[
        ("/out/a", "aa"),
        ("/out/d/b", "b"),
        ("/out/d/up", "→../a"),
        ("/out/abs", "→/out/d/b"),
        ("/out/dir", "→d"),
        ("/out/chain", "→dir/up"),
        ("/out/self", "→self"),
        ("/out/gone", "→nothing"),
        ("/out/evil", "→/etc/passwd"),
        ("/out/climb", "→../../etc/passwd"),
        ("/out/sneak", "→/out/../outer/x"),
        ("/out/root", "→/"),
        ("/out/through", "→linked/../../etc/passwd"),
        ("/out/in", "→/stage/0/in put.txt"),
        ("/out/host", "→/data/dir/f"),
        ("/out/literal", "→/stage/2/lit"),
        ("/out/linked", "input"),
        ("/out/copied", "cc"),
        ("/out/sock", "socket"),
    ]);
    let host = Memory::new(&[
        ("/data/in put.txt", "text"),
        ("/data/dir/f", "f"),
        ("/host/stage/2/lit", "lit"),
        ("/etc/passwd", "secret"),
    ]);
    let staged = staged();
    let finished = Finished {
        outdir: "/out/",
        tree: &tree,
        staged: &staged,
        to_host: &|path| format!("file:///host{path}"),
        files: &host,
    };
    let resolver = Resolver::new(finished);
    match resolver.resolve(path) {
        Ok(None) => "nothing".into(),
        Ok(Some(Found::File { path, size })) => format!("{path} {size}"),
        Ok(Some(Found::Directory { path })) => format!("{path}/"),
        Ok(Some(Found::Staged { location, stat })) if stat.is_directory => format!("{location}/"),
        Ok(Some(Found::Staged { location, .. })) => location,
        Err(error) => error.explain(&resolver.absolute(path)).expect("words"),
    }
}

#[test]
fn paths_lead_to_what_they_mean() {
    for (path, expected) in [
        ("/out", "/out/"),
        ("a", "/out/a 2"),
        ("/out/./d//b", "/out/d/b 1"),
        ("d/../a", "/out/a 2"),
        ("a/x", "nothing"),
        ("a/..", "/out/"),
        ("none", "nothing"),
        ("/out/d", "/out/d/"),
        ("/out/d/up", "/out/a 2"),
        ("/out/abs", "/out/d/b 1"),
        ("/out/dir/b", "/out/d/b 1"),
        ("/out/chain", "/out/a 2"),
        ("/out/gone", "nothing"),
        ("/out/copied", "/out/copied 2"),
    ] {
        assert_eq!(resolved(path), expected, "{path}");
    }
}

#[test]
fn inputs_lead_to_their_own_locations() {
    for (path, expected) in [
        ("/stage/0/in put.txt", "file:///data/in%20put.txt"),
        ("/stage/1/dir", "file:///data/dir/"),
        ("/stage/1/dir/f", "file:///data/dir/f"),
        ("/stage/1/dir/none", "nothing"),
        ("/out/in", "file:///data/in%20put.txt"),
        ("/out/host", "file:///data/dir/f"),
        ("/out/linked", "file:///data/dir/"),
        ("/out/linked/f", "file:///data/dir/f"),
        ("/out/literal", "file:///host/stage/2/lit"),
    ] {
        assert_eq!(resolved(path), expected, "{path}");
    }
}

#[test]
fn nothing_else_can_be_reached() {
    let outside = "which is neither in the output directory nor an input";
    for (path, expected) in [
        ("/etc/passwd", "/etc/passwd is neither in the output directory nor an input".to_owned()),
        ("../etc/passwd", "/etc/passwd is neither in the output directory nor an input".to_owned()),
        ("/outer", "/outer is neither in the output directory nor an input".to_owned()),
        ("/stage", "/stage is neither in the output directory nor an input".to_owned()),
        ("/data/copy.txt", "/data/copy.txt is neither in the output directory nor an input".to_owned()),
        ("linked/../../etc/passwd", "/etc/passwd is neither in the output directory nor an input".to_owned()),
        ("/out/evil", format!("/out/evil is a link to /etc/passwd, {outside}")),
        ("/out/climb", format!("/out/climb is a link to /etc/passwd, {outside}")),
        ("/out/sneak", format!("/out/sneak is a link to /outer/x, {outside}")),
        ("/out/root", format!("/out/root is a link to /, {outside}")),
        ("/out/through", format!("/out/through is a link to /etc/passwd, {outside}")),
        ("/out/self", "/out/self is a link that leads through more than 40 links".to_owned()),
        ("/out/sock", "/out/sock is neither a file nor a directory".to_owned()),
    ] {
        assert_eq!(resolved(path), expected, "{path}");
    }
}

#[test]
fn locations_are_those_of_inputs_of_the_host_or_of_the_tool() {
    let tree = Memory::new(&[("/out/a b", "x"), ("/out/a#b", "x")]);
    let host = Memory::new(&[("/data/in put.txt", "text")]);
    let staged = staged();
    let finished = Finished {
        outdir: "/out",
        tree: &tree,
        staged: &staged,
        to_host: &|path| location::file_uri(&format!("/host{path}")),
        files: &host,
    };
    let resolver = Resolver::new(finished);
    for (location, expected) in [
        ("file:///data/in%20put.txt", "file:///data/in%20put.txt"),
        ("file:///host/out/a%20b", "/out/a b"),
        ("file:///out/a%20b", "/out/a b"),
        ("a%20b", "/out/a b"),
        ("a b", "/out/a b"),
        ("a%23b", "/out/a#b"),
        ("none", "nothing"),
        ("file:///etc/passwd", "refused"),
        ("s3://bucket/x", "refused"),
        ("file:///host/outer", "refused"),
    ] {
        let found = match resolver.resolve_location(location) {
            Ok((_, Some(Found::Staged { location, .. }))) => location,
            Ok((_, Some(Found::File { path, .. } | Found::Directory { path }))) => path,
            Ok((_, None)) => "nothing".into(),
            Err(ResolveError::Outside(_)) => "refused".into(),
            Err(other) => format!("{other:?}"),
        };
        assert_eq!(found, expected, "{location}");
    }
}
