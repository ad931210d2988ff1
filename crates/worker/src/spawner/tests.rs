//! Tests with real processes.

use std::fs;
use std::io::{BufRead as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::*;

const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

fn command(directory: &Path, argv: &[&str]) -> Command {
    Command {
        argv: argv.iter().map(OsString::from).collect(),
        environment: vec![("PATH".into(), PATH.into())],
        cwd: directory.to_owned(),
        stdout: directory.join("stdout"),
        stderr: directory.join("stderr"),
        ..Command::default()
    }
}

fn shell(directory: &Path, script: &str) -> Command {
    command(directory, &["sh", "-c", script])
}

fn run(spawner: &Spawner, command: &Command) -> Result<Exit, Error> {
    spawner.spawn(command)?.wait(None).unwrap()
}

/// Waits until a process is gone; false after ten seconds.
fn is_gone(pid: &str) -> bool {
    let stat = Path::new("/proc").join(pid.trim()).join("stat");
    for _ in 0..1000 {
        // A zombie whose new parent has not reaped it yet runs no more.
        match fs::read_to_string(&stat) {
            Ok(text) if !text.contains(") Z ") => std::thread::sleep(Duration::from_millis(10)),
            _ => return true,
        }
    }
    false
}

/// Waits until a file has a whole line, and returns it.
fn line_of(path: &Path) -> String {
    for _ in 0..1000 {
        match fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text,
            _ => std::thread::sleep(Duration::from_millis(10)),
        }
    }
    panic!("{} never got a line", path.display());
}

#[test]
fn exit_codes_and_signals_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let spawner = Spawner::start().unwrap();
    let check = |script: &str, code: Option<i32>, signal: Option<i32>| {
        let status = run(&spawner, &shell(dir.path(), script)).unwrap().status;
        assert_eq!((status.code(), status.signal()), (code, signal), "{script}");
    };
    check("exit 0", Some(0), None);
    check("exit 42", Some(42), None);
    check("exit 127", Some(127), None);
    check("kill -TERM $$", None, Some(15));
    check("kill -KILL $$", None, Some(9));
}

#[test]
fn streams_directory_environment_and_words_reach_the_tool() {
    let dir = tempfile::tempdir().unwrap();
    let cwd = dir.path().join("with space é\n");
    fs::create_dir(&cwd).unwrap();
    fs::write(dir.path().join("in put"), "from stdin\n").unwrap();
    let spawner = Spawner::start().unwrap();
    let script = r#"pwd; printf '%s|' "$0" "$@"; echo "$VAR"; cat; echo oops >&2"#;
    let mut command = command(&cwd, &["sh", "-c", script, "🕺", "", "a b", "'\"$x\\"]);
    command.environment.push(("VAR".into(), "1=2\n3".into()));
    command.stdin = Some(dir.path().join("in put"));
    assert_eq!(run(&spawner, &command).unwrap().status.code(), Some(0));
    let expected = format!("{}\n🕺||a b|'\"$x\\|1=2\n3\nfrom stdin\n", cwd.display());
    assert_eq!(fs::read_to_string(&command.stdout).unwrap(), expected);
    assert_eq!(fs::read_to_string(&command.stderr).unwrap(), "oops\n");
}

#[test]
fn nothing_but_the_three_streams_and_the_given_environment_is_inherited() {
    let dir = tempfile::tempdir().unwrap();
    let spawner = Spawner::start().unwrap();
    let command = shell(
        dir.path(),
        "ls /proc/self/fd | wc -l; /usr/bin/env | sort | grep -v -e ^_= -e ^PWD= -e ^SHLVL=; grep -e SigIgn -e SigBlk /proc/self/status | sed s/80000000$/00000000/",
    );
    run(&spawner, &command).unwrap();
    // The C library keeps signal 32 for itself: whether it is ignored comes from outside.
    let expected = format!("4\nPATH={PATH}\nSigBlk:\t{0:016x}\nSigIgn:\t{0:016x}\n", 0);
    assert_eq!(fs::read_to_string(&command.stdout).unwrap(), expected);
}

#[test]
fn both_streams_may_go_to_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let spawner = Spawner::start().unwrap();
    let mut command = shell(dir.path(), "echo 1; echo 2 >&2; echo 3");
    command.stderr = command.stdout.clone();
    run(&spawner, &command).unwrap();
    assert_eq!(fs::read_to_string(&command.stdout).unwrap(), "1\n2\n3\n");
}

#[test]
fn what_cannot_be_started_is_told_with_the_systems_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    fs::write(path.join("not-executable"), "x").unwrap();
    let spawner = Spawner::start().unwrap();
    let check = |change: &dyn Fn(&mut Command), stage: Stage, errno: i32| {
        let mut command = command(path, &["true"]);
        change(&mut command);
        match run(&spawner, &command) {
            Err(Error::Start { stage: found, error }) => {
                assert_eq!((found, error.raw_os_error()), (stage, Some(errno)));
            }
            other => panic!("{other:?}"),
        }
    };
    check(&|c| c.argv = vec!["no-such-program".into()], Stage::Program, libc::ENOENT);
    check(&|c| c.argv = vec!["/no/such/program".into()], Stage::Program, libc::ENOENT);
    check(&|c| c.argv = vec!["".into()], Stage::Program, libc::ENOENT);
    check(&|c| c.argv = vec!["./not-executable".into()], Stage::Program, libc::EACCES);
    check(&|c| c.argv = vec![path.into()], Stage::Program, libc::EACCES);
    check(&|c| c.argv.push("x".repeat(3 << 20).into()), Stage::Program, libc::E2BIG);
    check(&|c| c.cwd = path.join("missing"), Stage::WorkingDirectory, libc::ENOENT);
    check(&|c| c.stdin = Some(path.join("missing")), Stage::Stdin, libc::ENOENT);
    check(&|c| c.stdout = path.to_owned(), Stage::Stdout, libc::EISDIR);
    check(&|c| c.stderr = path.join("missing/x"), Stage::Stderr, libc::ENOENT);
    let nul = spawner.spawn(&command(path, &["echo", "a\0b"]));
    assert!(matches!(nul, Err(Error::Start { stage: Stage::Request, .. })));
    // And it still works.
    assert!(run(&spawner, &command(path, &["true"])).unwrap().status.success());
}

#[test]
fn large_command_lines_work() {
    let dir = tempfile::tempdir().unwrap();
    let spawner = Spawner::start().unwrap();
    let word = "w".repeat(99);
    let mut argv = vec!["sh", "-c", "printf %s \"$*\" | wc -c"];
    argv.extend(std::iter::repeat_n(word.as_str(), 12_000));
    let command = command(dir.path(), &argv);
    assert!(run(&spawner, &command).unwrap().status.success());
    // The first word is `$0`; each of the others has a space behind it, but for the last.
    assert_eq!(fs::read_to_string(&command.stdout).unwrap().trim(), (11_999 * 100 - 1).to_string());
}

#[test]
fn limits_hold() {
    let dir = tempfile::tempdir().unwrap();
    let spawner = Spawner::start().unwrap();
    let mut command = shell(dir.path(), "ulimit -n; ulimit -c");
    command.limits = vec![
        Limit { resource: u64::from(libc::RLIMIT_NOFILE), soft: 77, hard: 77 },
        Limit { resource: u64::from(libc::RLIMIT_CORE), soft: 0, hard: u64::MAX },
    ];
    run(&spawner, &command).unwrap();
    assert_eq!(fs::read_to_string(&command.stdout).unwrap(), "77\n0\n");
}

#[test]
fn usage_counts_descendants() {
    let dir = tempfile::tempdir().unwrap();
    let spawner = Spawner::start().unwrap();
    let busy = "sh -c 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done'; head -c 50000000 /dev/zero | tail -c 50000000 >/dev/null; sleep 0.1";
    let exit = run(&spawner, &shell(dir.path(), busy)).unwrap();
    assert!(exit.cpu > Duration::from_millis(10), "{exit:?}");
    assert!(exit.wall >= Duration::from_millis(100), "{exit:?}");
    assert!(exit.peak_memory > 50_000_000, "{exit:?}");
}

#[test]
fn daemons_do_not_survive_their_tool() {
    let dir = tempfile::tempdir().unwrap();
    let spawner = Spawner::start().unwrap();
    let script = "setsid sh -c 'echo $$ > daemon; trap \"\" TERM HUP; setsid sleep 1000 & echo $! > deep; wait' & while ! [ -s deep ]; do sleep 0.01; done";
    let start = Instant::now();
    assert!(run(&spawner, &shell(dir.path(), script)).unwrap().status.success());
    assert!(start.elapsed() < Duration::from_secs(10));
    for name in ["daemon", "deep"] {
        let pid = fs::read_to_string(dir.path().join(name)).unwrap();
        assert!(!Path::new("/proc").join(pid.trim()).exists(), "{name} {pid}");
    }
}

#[test]
fn what_ends_shortly_after_the_tool_may_finish() {
    let dir = tempfile::tempdir().unwrap();
    let spawner = Spawner::start().unwrap();
    // On a busy machine it may get no turn in time: once is enough.
    let is_late = || {
        run(&spawner, &shell(dir.path(), "(sleep 0.02; echo late > late) &")).unwrap();
        fs::read_to_string(dir.path().join("late")).is_ok_and(|text| text == "late\n")
    };
    assert!((0..50).any(|_| is_late()));
}

#[test]
fn kill_asks_first_and_then_insists() {
    let dir = tempfile::tempdir().unwrap();
    let spawner = Spawner::start().unwrap();

    let polite =
        shell(dir.path(), "trap 'echo bye > bye; exit 3' TERM; echo up > up1; while :; do sleep 0.01; done");
    let running = spawner.spawn(&polite).unwrap();
    line_of(&dir.path().join("up1"));
    running.kill(Duration::from_secs(20));
    assert_eq!(running.wait(None).unwrap().unwrap().status.code(), Some(3));
    assert_eq!(line_of(&dir.path().join("bye")), "bye\n");

    let stubborn = shell(
        dir.path(),
        "trap '' TERM; setsid sh -c 'trap \"\" TERM; echo $$ > up2; sleep 1000' & sleep 1000; sleep 1000",
    );
    let running = spawner.spawn(&stubborn).unwrap();
    let pid = line_of(&dir.path().join("up2"));
    let start = Instant::now();
    running.killer().kill(Duration::from_millis(300));
    assert!(running.wait(Some(Duration::from_millis(100))).is_none());
    assert_eq!(running.wait(None).unwrap().unwrap().status.signal(), Some(9));
    assert!((300..5_000).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    assert!(!Path::new("/proc").join(pid.trim()).exists());

    let stopped = shell(dir.path(), "echo up > up3; kill -STOP $$; sleep 1000");
    let running = spawner.spawn(&stopped).unwrap();
    line_of(&dir.path().join("up3"));
    running.kill(Duration::from_secs(20));
    assert_eq!(running.wait(None).unwrap().unwrap().status.signal(), Some(15));
}

#[test]
fn a_kill_right_after_the_start_is_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let spawner = Spawner::start().unwrap();
    for _ in 0..100 {
        let running = spawner.spawn(&command(dir.path(), &["sleep", "1000"])).unwrap();
        running.kill(Duration::from_secs(20));
        assert_eq!(running.wait(None).unwrap().unwrap().status.signal(), Some(15));
    }
}

#[test]
fn a_tool_that_waits_for_the_writer_of_a_pipe_can_be_killed() {
    let dir = tempfile::tempdir().unwrap();
    let spawner = Spawner::start().unwrap();
    let pipe = dir.path().join("pipe");
    std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    let mut command = command(dir.path(), &["cat"]);
    command.stdin = Some(pipe.clone());
    let running = spawner.spawn(&command).unwrap();
    assert!(running.wait(Some(Duration::from_millis(100))).is_none());
    running.kill(Duration::from_secs(20));
    assert_eq!(running.wait(None).unwrap().unwrap().status.signal(), Some(15));
    let running = spawner.spawn(&command).unwrap();
    fs::write(&pipe, "through the pipe").unwrap();
    assert!(running.wait(None).unwrap().unwrap().status.success());
    assert_eq!(fs::read_to_string(&command.stdout).unwrap(), "through the pipe");
}

/// A root with nothing but this machine's programs and a directory `work`; `None` where no namespaces can be made.
fn isolation(spawner: &Spawner, dir: &Path) -> Option<Isolation> {
    use moil_container::direct::Mount;
    let root = dir.join("root");
    for made in ["usr", "proc", "dev", "work", "given"] {
        fs::create_dir_all(root.join(made)).unwrap();
    }
    for link in ["bin", "lib", "lib64"] {
        std::os::unix::fs::symlink(format!("usr/{link}"), root.join(link)).unwrap();
    }
    fs::write(root.join("dev/null"), "").unwrap();
    fs::create_dir_all(dir.join("given")).unwrap();
    fs::write(dir.join("given/file"), "given").unwrap();
    let bind = |source: &Path, target: &str, read_only: bool| Mount {
        source: source.to_owned(),
        target: root.join(target),
        filesystem: None,
        data: OsString::new(),
        read_only,
    };
    let mounts = vec![
        bind(&root, "", true),
        bind(Path::new("/usr"), "usr", true),
        bind(Path::new("/proc"), "proc", false),
        bind(Path::new("/dev/null"), "dev/null", false),
        bind(dir, "work", false),
        bind(&dir.join("given"), "given", true),
    ];
    let isolation = Isolation { root, mounts, directory: "/work".into(), no_network: true };
    let mut command = command(dir, &["/bin/sh", "-c", ":"]);
    command.isolation = Some(isolation.clone());
    match run(spawner, &command) {
        Ok(exit) if exit.status.success() => Some(isolation),
        other => {
            #[expect(clippy::disallowed_methods, reason = "it tells tests what has to be there")]
            let required = std::env::var("MOIL_REQUIRE").unwrap_or_default();
            assert!(!required.contains("apptainer"), "{other:?}");
            println!("skipped: no namespaces can be made here: {other:?}");
            None
        }
    }
}

#[test]
fn an_isolated_process_sees_what_was_mounted_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let spawner = Spawner::start().unwrap();
    let Some(isolation) = isolation(&spawner, dir.path()) else { return };
    let run_inside = |script: &str| {
        let mut command = shell(dir.path(), script);
        command.isolation = Some(isolation.clone());
        let exit = run(&spawner, &command).unwrap();
        (exit.status.code(), fs::read_to_string(&command.stdout).unwrap())
    };
    assert_eq!(
        run_inside("ls /; pwd"),
        (Some(0), "bin\ndev\ngiven\nlib\nlib64\nproc\nusr\nwork\n/work\n".into())
    );
    assert_eq!(run_inside("cat /given/file; exit 7"), (Some(7), "given".into()));
    for refused in ["echo x > /given/file", "echo x > /file", "echo x > /usr/file"] {
        assert_ne!(run_inside(refused).0, Some(0), "{refused}");
    }
    assert_eq!(run_inside("echo x > /work/made").0, Some(0));
    assert_eq!(fs::read_to_string(dir.path().join("made")).unwrap(), "x\n");
    // Loopback, and it is up: nobody listens, but somebody says so.
    assert_eq!(run_inside("tail -n +3 /proc/self/net/dev | wc -l").1.trim(), "1");
    let ids = std::process::Command::new("id").arg("-u").output().unwrap();
    assert_eq!(run_inside("id -u").1, String::from_utf8(ids.stdout).unwrap());
    // This machine does not see what was mounted.
    assert_eq!(fs::read_dir(dir.path().join("root/usr")).unwrap().count(), 0);
}

#[test]
fn an_isolated_process_is_killed_with_all_that_it_started() {
    let dir = tempfile::tempdir().unwrap();
    let spawner = Spawner::start().unwrap();
    let Some(isolation) = isolation(&spawner, dir.path()) else { return };
    let mut command = shell(dir.path(), "setsid sh -c 'echo $$ > pid; sleep 1000' & sleep 1000");
    command.isolation = Some(isolation);
    let running = spawner.spawn(&command).unwrap();
    let pid = line_of(&dir.path().join("pid"));
    running.kill(Duration::ZERO);
    assert_eq!(running.wait(None).unwrap().unwrap().status.signal(), Some(9));
    assert!(is_gone(&pid));
}

#[test]
fn a_mount_that_cannot_be_made_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let spawner = Spawner::start().unwrap();
    let Some(mut isolation) = isolation(&spawner, dir.path()) else { return };
    isolation.mounts[3].source = "/no/such/file".into();
    let mut command = shell(dir.path(), ":");
    command.isolation = Some(isolation);
    let end = run(&spawner, &command);
    assert!(
        matches!(&end, Err(Error::Start { stage: Stage::Isolation, error }) if error.raw_os_error() == Some(libc::ENOENT)),
        "{end:?}"
    );
    assert!(run(&spawner, &shell(dir.path(), ":")).unwrap().status.success());
}

#[test]
fn standard_input_can_come_through_a_pipe() {
    let dir = tempfile::tempdir().unwrap();
    let spawner = Spawner::start().unwrap();
    fs::write(dir.path().join("large"), vec![b'x'; 3_000_000]).unwrap();
    let mut command = shell(dir.path(), "[ -p /dev/stdin ] && wc -c");
    command.stdin = Some(dir.path().join("large"));
    command.through_pipe = true;
    assert!(run(&spawner, &command).unwrap().status.success());
    assert_eq!(fs::read_to_string(&command.stdout).unwrap().trim(), "3000000");
    // Nobody reads: what fills the pipe ends all the same, and is no child that the tool did not make.
    let mut command = shell(dir.path(), "ps -o pid= --ppid $$ 2>/dev/null | wc -l; exit 4");
    command.stdin = Some(dir.path().join("large"));
    command.through_pipe = true;
    assert_eq!(run(&spawner, &command).unwrap().status.code(), Some(4));
}

#[test]
fn a_kill_that_comes_too_late_does_not_hit_the_next_process() {
    let dir = tempfile::tempdir().unwrap();
    let spawner = Spawner::start().unwrap();
    let first = spawner.spawn(&command(dir.path(), &["true"])).unwrap();
    let late = first.killer();
    assert!(first.wait(None).unwrap().unwrap().status.success());
    late.kill(Duration::ZERO);
    // The same supervisor, since no other is free.
    let second =
        spawner.spawn(&shell(dir.path(), "echo up > up; while ! [ -e go ]; do sleep 0.01; done")).unwrap();
    line_of(&dir.path().join("up"));
    late.kill(Duration::ZERO);
    fs::write(dir.path().join("go"), "").unwrap();
    assert!(second.wait(None).unwrap().unwrap().status.success());
}

#[test]
fn a_process_that_nobody_waits_for_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let spawner = Spawner::start().unwrap();
    let running = spawner.spawn(&shell(dir.path(), "setsid sh -c 'echo $$ > pid; sleep 1000'")).unwrap();
    let pid = line_of(&dir.path().join("pid"));
    let killer = running.killer();
    drop(running);
    assert!(is_gone(&pid));
    killer.kill(Duration::ZERO);
    assert!(run(&spawner, &command(dir.path(), &["true"])).unwrap().status.success());
}

#[test]
fn an_idle_supervisor_that_was_killed_costs_no_process() {
    let dir = tempfile::tempdir().unwrap();
    let spawner = Spawner::start().unwrap();
    for round in 0..3 {
        let name = format!("supervisor{round}");
        run(&spawner, &shell(dir.path(), &format!("echo $PPID > {name}"))).unwrap();
        let supervisor = fs::read_to_string(dir.path().join(name)).unwrap();
        sys::kill(supervisor.trim().parse().unwrap(), libc::SIGKILL);
        assert!(is_gone(&supervisor));
    }
}

#[test]
fn supervisors_are_used_again_and_count_for_each_process_alone() {
    let dir = tempfile::tempdir().unwrap();
    let spawner = Spawner::start().unwrap();
    let large = run(
        &spawner,
        &shell(dir.path(), "echo $PPID; head -c 50000000 /dev/zero | tail -c 50000000 >/dev/null"),
    );
    let first = fs::read_to_string(dir.path().join("stdout")).unwrap();
    let small = run(&spawner, &shell(dir.path(), "echo $PPID")).unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("stdout")).unwrap(), first);
    assert!(large.unwrap().peak_memory > 50_000_000);
    assert!(small.peak_memory < 20_000_000, "{small:?}");
}

#[test]
fn shutting_down_kills_everything_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let spawner = Spawner::start().unwrap();
    let script = "trap '' TERM; setsid sh -c 'trap \"\" TERM; echo $$ > pid; sleep 1000' & sleep 1000";
    let running = spawner.spawn(&shell(dir.path(), script)).unwrap();
    let pid = line_of(&dir.path().join("pid"));
    let start = Instant::now();
    spawner.shut_down();
    assert!(start.elapsed() < Duration::from_secs(4));
    assert!(!Path::new("/proc").join(pid.trim()).exists());
    assert!(running.wait(None).unwrap().is_err() || start.elapsed() < Duration::from_secs(4));
    assert!(matches!(spawner.spawn(&command(dir.path(), &["true"])), Err(Error::Lost)));
}

#[test]
fn a_killed_supervisor_is_told_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let spawner = Spawner::start().unwrap();
    let script = "setsid sh -c 'echo $$ > deep; sleep 1000' & while ! [ -s deep ]; do sleep 0.01; done; echo $PPID > supervisor; sleep 1000";
    let running = spawner.spawn(&shell(dir.path(), script)).unwrap();
    let supervisor = line_of(&dir.path().join("supervisor"));
    sys::kill(supervisor.trim().parse().unwrap(), libc::SIGKILL);
    assert!(matches!(running.wait(None), Some(Err(Error::Lost))));
    assert!(is_gone(&fs::read_to_string(dir.path().join("deep")).unwrap()));
    assert!(run(&spawner, &command(dir.path(), &["true"])).unwrap().status.success());
}

#[test]
fn a_killed_spawner_is_told_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let spawner = Spawner::start().unwrap();
    let running = spawner.spawn(&shell(dir.path(), "setsid sh -c 'echo $$ > pid; sleep 1000'")).unwrap();
    let pid = line_of(&dir.path().join("pid"));
    sys::kill(spawner.process_id(), libc::SIGKILL);
    // The supervisor may still tell the end itself.
    assert!(running.wait(Some(Duration::from_secs(20))).is_some());
    assert!(is_gone(&pid));
    assert!(spawner.spawn(&command(dir.path(), &["true"])).is_err());
}

/// Run by the next test in a process of its own, which it kills; it is told a directory on standard input.
#[test]
#[ignore = "a helper of another test"]
fn helper_that_is_killed() {
    let mut directory = String::new();
    std::io::stdin().lock().read_line(&mut directory).unwrap();
    if directory.is_empty() {
        return;
    }
    let spawner = Spawner::start().unwrap();
    let script = "trap '' TERM HUP; setsid sh -c 'trap \"\" TERM HUP; echo $$ > deep; sleep 1000' & echo $PPID > supervisor; sleep 1000";
    let running = spawner.spawn(&shell(Path::new(directory.trim()), script)).unwrap();
    let _ = running.wait(None);
}

#[test]
fn a_killed_leader_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut leader = std::process::Command::new("/proc/self/exe")
        .args(["--exact", "spawner::tests::helper_that_is_killed", "--ignored"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    writeln!(leader.stdin.take().unwrap(), "{}", dir.path().display()).unwrap();
    let pids = ["deep", "supervisor"].map(|name| line_of(&dir.path().join(name)));
    leader.kill().unwrap();
    leader.wait().unwrap();
    for pid in pids {
        assert!(is_gone(&pid));
    }
}

#[test]
fn thousands_of_processes_from_several_threads() {
    let dir = tempfile::tempdir().unwrap();
    let spawner = Spawner::start().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (spawner, path) = (spawner.clone(), dir.path());
            scope.spawn(move || {
                for round in 0..500 {
                    let code = (thread * 31 + round) % 100;
                    let mut command = command(path, &["sh", "-c", &format!("exit {code}")]);
                    command.stdout = "/dev/null".into();
                    command.stderr = "/dev/null".into();
                    assert_eq!(run(&spawner, &command).unwrap().status.code(), Some(code));
                }
            });
        }
    });
}

#[test]
fn many_processes_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let spawner = Spawner::start().unwrap();
    let all: Vec<Running> =
        (0..200).map(|_| spawner.spawn(&command(dir.path(), &["sleep", "0.3"])).unwrap()).collect();
    for running in all {
        assert!(running.wait(None).unwrap().unwrap().status.success());
    }
}

#[test]
fn gigabytes_of_output_go_to_the_file_and_not_through_memory() {
    let dir = tempfile::tempdir().unwrap();
    let spawner = Spawner::start().unwrap();
    let mut command = command(dir.path(), &["head", "-c", "2000000000", "/dev/zero"]);
    command.stdout = "/dev/null".into();
    assert!(run(&spawner, &command).unwrap().status.success());
}
