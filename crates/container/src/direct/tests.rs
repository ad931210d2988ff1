//! Tests of grounds on the disk, and of what is decided on them.

use super::*;

/// An image with a shell.
fn image(dir: &Path) -> PathBuf {
    let image = dir.join("debian:12.sif");
    for made in ["bin", "etc", "tmp", "var/lib"] {
        fs::create_dir_all(image.join(made)).unwrap();
    }
    symlink("dash", image.join("bin/sh")).unwrap();
    image
}

fn ground(dir: &Path, image: &Path) -> Option<Ground> {
    let folder = dir.join("ground");
    Ground::make(image, &folder, Path::new("/var/spool/cwl"), Path::new("/var/lib/cwl/in")).unwrap()
}

fn invocation() -> Invocation {
    Invocation {
        output: Bind { source: "/work/out".into(), target: "/var/spool/cwl".into(), writable: true },
        temporary: "/work/tmp".into(),
        binds: vec![
            Bind { source: "/data/a b".into(), target: "/var/lib/cwl/in/0/a b".into(), writable: false },
            Bind { source: "/data/x".into(), target: "/var/spool/cwl/x".into(), writable: true },
        ],
        network: Network::None,
        nvidia: false,
        environment: vec![("X".into(), "1".into()), ("LANG".into(), "de_DE".into())],
        command: vec!["cat".into(), "/var/lib/cwl/in/0/a b".into()],
    }
}

#[test]
fn everything_that_is_mounted_has_a_place() {
    let dir = tempfile::tempdir().unwrap();
    let ground = ground(dir.path(), &image(dir.path())).unwrap();
    let (_, isolation) = plan(&invocation(), &ground, Some(Path::new("/work/in"))).unwrap();
    let [overlay, mounts @ ..] = isolation.mounts.as_slice() else { panic!("nothing is mounted") };
    assert_eq!(overlay.target, isolation.root);
    let shown = dir.path().display();
    let layers = format!("lowerdir={shown}/ground/places:{shown}/debian\\:12.sif,userxattr");
    assert_eq!((overlay.data.to_str(), overlay.read_only), (Some(layers.as_str()), true));
    for mount in mounts {
        let inside = mount.target.strip_prefix(&isolation.root).unwrap();
        let is_below_another =
            ["var/lib/cwl/in/0", "var/spool/cwl/x"].iter().any(|path| inside.starts_with(path));
        assert!(is_below_another || ground.places.join(inside).exists(), "{inside:?}");
    }
    let of = |target: &str| mounts.iter().find(|mount| mount.target == isolation.root.join(target)).unwrap();
    assert!(!of("var/spool/cwl").read_only && !of("tmp").read_only && !of("var/spool/cwl/x").read_only);
    assert!(of("var/lib/cwl/in").read_only && of("var/lib/cwl/in/0/a b").read_only);
    assert!(isolation.no_network);
    assert_eq!(isolation.directory, Path::new("/var/spool/cwl"));
}

#[test]
fn the_tool_gets_its_variables_and_words_and_the_image_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let ground = ground(dir.path(), &image(dir.path())).unwrap();
    let (line, isolation) =
        plan(&Invocation { network: Network::Host, ..invocation() }, &ground, None).unwrap();
    assert!(!isolation.no_network);
    assert!(!isolation.mounts.iter().any(|mount| mount.target.ends_with("cwl/in")));
    assert_eq!(line.argv[3..], ["tool", "cat", "/var/lib/cwl/in/0/a b"].map(OsString::from));
    let value = |name: &str| {
        let mut found = line.environment.iter().filter(|(known, _)| known == name);
        let value = found.next().and_then(|(_, value)| value.to_str());
        assert!(found.next().is_none(), "{name} is there twice");
        value
    };
    assert_eq!((value("X"), value("LANG"), value("PATH")), (Some("1"), Some("de_DE"), Some("")));
    assert_eq!(value("HOME"), Some("/var/spool/cwl"));
}

#[test]
fn an_entry_point_is_told_from_none() {
    for (script, expected) in [
        (None, false),
        (Some("#!/bin/sh\nOCI_ENTRYPOINT=''\nOCI_CMD='\"/bin/sh\"'\n…"), false),
        (Some("#!/bin/sh\nOCI_ENTRYPOINT='\"/run\"'\nOCI_CMD=''\n…"), true),
        (Some("#!/bin/sh\n\nexec \"$@\"\n"), false),
        (Some("#!/bin/sh\necho Hello\nexec \"$@\"\n"), true),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let image = image(dir.path());
        if let Some(script) = script {
            fs::create_dir(image.join(".singularity.d")).unwrap();
            fs::write(image.join(".singularity.d/runscript"), script).unwrap();
        }
        let ground = ground(dir.path(), &image).unwrap();
        assert_eq!(ground.has_entry_point, expected, "{script:?}");
        let (line, _) = plan(&invocation(), &ground, None).unwrap();
        assert_eq!(line.argv[2].to_str().unwrap().contains("/.singularity.d/runscript"), expected);
    }
}

/// With every shell that this machine has.
#[test]
fn a_program_that_is_not_there_is_not_the_tools_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let ground = ground(dir.path(), &image(dir.path())).unwrap();
    let plain = dir.path().join("not executable");
    fs::write(&plain, "").unwrap();
    let run = |shell: &[&str], words: &[&str]| {
        let command = words.iter().map(|word| (*word).to_owned()).collect();
        let (line, _) = plan(&Invocation { command, ..invocation() }, &ground, None).unwrap();
        let output = std::process::Command::new(shell[0])
            .args(&shell[1..])
            .args(&line.argv[1..])
            .env_clear()
            .envs([("PATH", "/nowhere::/usr/bin:/bin"), ("moil_at", "kept"), ("f", "kept")])
            .output();
        output.map(|output| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            (output.status.code(), text(&output.stdout), text(&output.stderr))
        })
    };
    let plain = plain.to_str().unwrap();
    for shell in [&["/bin/sh"][..], &["/bin/dash"], &["/bin/bash"], &["/bin/busybox", "sh"]] {
        let fatal = |words: &[&str]| match run(shell, words) {
            Ok((code, _, said)) if !said.contains("sh: applet not found") => {
                assert_eq!(code, Some(255), "{shell:?}: {said}");
                Some(said)
            }
            _ => None,
        };
        for (word, expected) in [
            ("no-such-program", "FATAL:   \"no-such-program\": executable file not found in $PATH\n"),
            ("/no/such", "FATAL:   stat /no/such: no such file or directory\n"),
            ("/bin", "FATAL:   permission denied\n"),
            (plain, "FATAL:   permission denied\n"),
            // A word of the shell is no program.
            ("export", "FATAL:   \"export\": executable file not found in $PATH\n"),
        ] {
            if let Some(said) = fatal(&[word]) {
                assert_eq!(said, expected, "{shell:?}");
            }
        }
        if let Ok((code, out, _)) = run(shell, &["sh", "-c", "echo $f \"$@\"; exit 127", "x", "a  b"]) {
            assert_eq!((code, out.as_str()), (Some(127), "kept a  b\n"), "{shell:?}");
        }
        // By its path, as the engine starts it.
        let show = ["sh", "-c", "tr '\\0' ' ' < /proc/$$/cmdline; true"];
        if let Ok((Some(0), out, _)) = run(shell, &show) {
            assert!(out.starts_with("/usr/bin/sh -c "), "{shell:?}: {out}");
        }
    }
}

#[test]
fn what_only_the_engine_can_do_is_left_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let ground = ground(dir.path(), &image(dir.path())).unwrap();
    let elsewhere = Bind { source: "/data/conf".into(), target: "/etc/tool.conf".into(), writable: true };
    let output = Bind { target: "/other".into(), ..invocation().output };
    for odd in [
        Invocation { nvidia: true, ..invocation() },
        Invocation { network: Network::Named("lab".into()), ..invocation() },
        Invocation { binds: vec![elsewhere], ..invocation() },
        Invocation { output, ..invocation() },
    ] {
        assert_eq!(plan(&odd, &ground, None), None, "{odd:?}");
    }
}

#[test]
fn images_with_links_in_the_way_or_without_a_shell_are_left_to_the_engine() {
    let changes: [(&str, fn(&Path)); 3] = [
        ("tmp is a link", |image| {
            fs::remove_dir(image.join("tmp")).unwrap();
            symlink("/var/tmp", image.join("tmp")).unwrap();
        }),
        ("var/lib is a link", |image| {
            fs::remove_dir(image.join("var/lib")).unwrap();
            symlink("../etc", image.join("var/lib")).unwrap();
        }),
        ("there is no shell", |image| fs::remove_file(image.join("bin/sh")).unwrap()),
    ];
    for (what, change) in changes {
        let dir = tempfile::tempdir().unwrap();
        let image = image(dir.path());
        change(&image);
        assert_eq!(ground(dir.path(), &image), None, "{what}");
        assert!(!dir.path().join("ground").exists(), "{what}");
    }
}

#[test]
fn users_that_the_image_does_not_know_are_added() {
    let dir = tempfile::tempdir().unwrap();
    let image = image(dir.path());
    fs::write(image.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nten:x:10:1000::/:/bin/sh").unwrap();
    let ground = ground(dir.path(), &image).unwrap();
    let text = |file: &str| fs::read_to_string(ground.places.join(file)).unwrap();
    ground.add_user(1000, 1000).unwrap();
    assert!(
        text("etc/passwd").ends_with("ten:x:10:1000::/:/bin/sh\nuser:x:1000:1000::/var/spool/cwl:/bin/sh\n")
    );
    assert_eq!(text("etc/group"), "user:x:1000:\n");
    ground.add_user(10, 0).unwrap();
    assert!(text("etc/passwd").ends_with("ten:x:10:1000::/:/bin/sh"));
}
