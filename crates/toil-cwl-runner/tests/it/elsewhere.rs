//! Jobs in worker processes of their own, which share nothing with the leader but the job store: a poor cluster.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use moil_testing::s3::S3Server;
use toil_cwl_runner::exit_code::ExitCode;

use super::buckets::{access, make_bucket};
use super::sandbox::{PATH, Random, Sandbox, eventually};

/// Each word is put on a line together with the text of a file; then all lines are put together. A job writes its word
/// into `began`, waits for `go`, and writes its word into `ended`.
const WORDS: &str = r#"
cwlVersion: v1.2
class: Workflow
requirements: {ScatterFeatureRequirement: {}}
inputs: {words: "string[]", file: File, folder: Directory}
outputs:
  all: {type: File, outputSource: join/all}
steps:
  write:
    scatter: word
    in: {word: words, file: file, folder: folder}
    out: [one]
    run:
      class: CommandLineTool
      requirements: {ResourceRequirement: {coresMin: 0.1}}
      baseCommand: [sh, -c, 'echo $0 >> HERE/began; while ! test -e HERE/go; do sleep 0.01; done; echo $0 >> HERE/ended; echo $0 $(cat $1) $(cat $2/deep/x)']
      inputs:
        word: {type: string, inputBinding: {position: 1}}
        file: {type: File, inputBinding: {position: 2}}
        folder: {type: Directory, inputBinding: {position: 3}}
      outputs: {one: stdout}
      stdout: word.txt
  join:
    in: {ones: write/one}
    out: [all]
    run:
      class: CommandLineTool
      baseCommand: cat
      inputs: {ones: {type: 'File[]', inputBinding: {position: 1}}}
      outputs: {all: stdout}
      stdout: all.txt
"#;

fn words() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("main.cwl", WORDS.replace("HERE", &sandbox.path("").display().to_string()));
    std::fs::create_dir_all(sandbox.path("folder/deep")).expect("it is made");
    sandbox.write("folder/deep/x", "deep");
    sandbox.write("file.txt", "text");
    sandbox.write(
        "job.yml",
        "words: [a, b, c]\nfile: {class: File, path: file.txt}\nfolder: {class: Directory, path: folder}\n",
    );
    sandbox.write("began", "");
    sandbox.write("ended", "");
    sandbox
}

const ALL: &str = "a text deep\nb text deep\nc text deep\n";

fn args<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let common = ["--batchSystem", "processes", "--outdir", "out", "--retryCount", "0"];
    more.iter().copied().chain(common).chain(["main.cwl", "job.yml"]).collect()
}

fn lines(sandbox: &Sandbox, name: &str) -> Vec<String> {
    let mut lines: Vec<String> = sandbox.read(name).lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

fn start(sandbox: &Sandbox, more: &[&str]) -> Child {
    sandbox.program(&args(more)).spawn().expect("it starts")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn signal(process: u32, signal: &str) {
    let status = Command::new("kill").args([signal, &process.to_string()]).status();
    assert!(status.expect("kill is there").success());
}

/// The workers of this store, as they are called in the list of processes.
fn workers(store: &Path) -> Vec<u32> {
    let store = store.display().to_string();
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let process = |entry: std::fs::DirEntry| {
        let number: u32 = entry.file_name().to_str()?.parse().ok()?;
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        let parent = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        // The process that a worker starts its tools with has the same words; the worker is its parent.
        let is = |word: &str| words.contains(&word.as_bytes());
        (is("worker") && is(&store)).then(|| {
            let parent =
                parent.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)).map(str::to_owned);
            (number, parent.and_then(|parent| parent.parse::<u32>().ok()))
        })
    };
    let found: Vec<(u32, Option<u32>)> = entries.flatten().filter_map(process).collect();
    let is_worker = |parent: Option<u32>| !found.iter().any(|(number, _)| Some(*number) == parent);
    found.iter().filter(|(_, parent)| is_worker(*parent)).map(|(number, _)| *number).collect()
}

#[test]
fn jobs_run_in_processes_of_their_own() {
    let sandbox = words();
    let child = start(&sandbox, &["--jobStore", "store"]);
    eventually("all have begun", || lines(&sandbox, "began").len() == 3);
    assert_eq!(workers(&sandbox.path("store")).len(), 3);
    sandbox.write("go", "");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(sandbox.read("out/all.txt"), ALL);
    assert!(!sandbox.path("store").exists());
    assert_eq!(sandbox.list("tmp"), [""; 0]);
}

#[test]
fn without_a_job_store_there_is_nothing_to_share() {
    let sandbox = words();
    let told = sandbox.failure(&args(&[]));
    assert!(told.contains("--batchSystem processes needs a job store"), "{told}");
    assert!(told.contains("--jobStore"), "{told}");
}

#[test]
fn what_a_tool_says_and_why_it_failed_come_to_the_leader() {
    let sandbox = words();
    sandbox.write(
        "main.cwl",
        "cwlVersion: v1.2\nclass: CommandLineTool\nbaseCommand: [sh, -c, 'echo saying; echo trouble >&2; exit 7']\n\
         inputs: []\noutputs: []\n",
    );
    let line = "--jobStore store --batchSystem processes --retryCount 0 --realTimeLogging true --clean always main.cwl";
    let told = sandbox.failure(&line.split(' ').collect::<Vec<_>>());
    for words in ["saying", "exited with code 7", "trouble"] {
        assert!(told.contains(words), "{words}: {told}");
    }
}

#[test]
fn a_worker_that_is_killed_is_replaced() {
    let sandbox = words();
    let child = start(&sandbox, &["--jobStore", "store"]);
    eventually("all have begun", || lines(&sandbox, "began").len() == 3);
    for worker in workers(&sandbox.path("store")) {
        signal(worker, "-KILL");
    }
    eventually("all have begun again", || lines(&sandbox, "began").len() == 6);
    sandbox.write("go", "");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("left no result (signal: 9 (SIGKILL))"), "{}", text(&output));
    assert_eq!(sandbox.read("out/all.txt"), ALL);
    assert_eq!(lines(&sandbox, "ended"), ["a", "b", "c"]);
}

#[test]
fn a_leader_that_is_asked_to_end_takes_its_workers_with_it() {
    let sandbox = words();
    let child = start(&sandbox, &["--jobStore", "store"]);
    eventually("all have begun", || lines(&sandbox, "began").len() == 3);
    signal(child.id(), "-INT");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130), "{}", text(&output));
    assert_eq!(workers(&sandbox.path("store")), [0; 0]);
    sandbox.write("go", "");
    let output = start(&sandbox, &["--jobStore", "store", "--restart"]).wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(lines(&sandbox, "ended"), ["a", "b", "c"]);
}

#[test]
fn what_workers_did_after_their_leader_was_killed_counts() {
    let sandbox = words();
    let child = start(&sandbox, &["--jobStore", "store"]);
    eventually("all have begun", || lines(&sandbox, "began").len() == 3);
    signal(child.id(), "-KILL");
    child.wait_with_output().expect("it ends");
    sandbox.write("go", "");
    eventually("all have ended", || workers(&sandbox.path("store")).is_empty());
    let output = start(&sandbox, &["--jobStore", "store", "--restart"]).wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(sandbox.read("out/all.txt"), ALL);
    assert_eq!(lines(&sandbox, "began"), ["a", "b", "c"], "nothing ran twice");
    assert!(!sandbox.path("store").exists());
}

#[test]
fn a_straggler_that_ends_after_its_replacement_changes_nothing() {
    let server = S3Server::start();
    make_bucket(&server, "shared", &[]);
    let url = server.url();
    let env = access(&url);
    for store in ["store", "s3://shared/store"] {
        let sandbox = words();
        let start = |more: &[&str]| {
            let more = [&["--jobStore", store], more].concat();
            sandbox.program(&args(&more)).envs(env).spawn().expect("it starts")
        };
        let workers = || match store {
            "store" => workers(&sandbox.path(store)),
            url => workers(Path::new(url)),
        };
        let child = start(&[]);
        eventually("all have begun", || lines(&sandbox, "began").len() == 3);
        let stragglers = workers();
        assert_eq!(stragglers.len(), 3);
        stragglers.iter().for_each(|worker| signal(*worker, "-STOP"));
        signal(child.id(), "-KILL");
        child.wait_with_output().expect("it ends");
        let child = start(&["--restart", "--clean", "never"]);
        eventually("all have begun again", || lines(&sandbox, "began").len() == 6);
        sandbox.write("go", "");
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}", text(&output));
        stragglers.iter().for_each(|worker| signal(*worker, "-CONT"));
        eventually("the stragglers are gone", || workers().is_empty());
        assert_eq!(lines(&sandbox, "ended").len(), 6);
        // The run that they belonged to is as it was, and everything in it is still taken for what it is.
        let output = start(&["--restart"]).wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}", text(&output));
        assert_eq!(lines(&sandbox, "began").len(), 6, "nothing ran a third time");
        assert_eq!(sandbox.read("out/all.txt"), ALL);
    }
}

/// `kill -9` of the leader or of a worker at a hundred random moments of runs of 200 jobs: the outputs are those of a
/// run that nobody disturbs.
#[test]
fn leaders_and_workers_that_are_killed_a_hundred_times_lose_and_double_nothing() {
    let words: Vec<String> = (0..200).map(|number| format!("w{number}")).collect();
    let mut random = Random::new();
    eprintln!("seed {}", random.0);
    let mut kills = [0, 0];
    let is_enough = |kills: &[u32]| kills.iter().sum::<u32>() >= 100 && kills.iter().all(|kills| *kills > 10);
    let mut rounds = 0;
    while !is_enough(&kills) {
        rounds += 1;
        assert!(rounds < 100, "both must be hit: {kills:?}");
        // A slow machine comes to the end, too.
        let mut patience = 500;
        let sandbox = self::words();
        sandbox.write("go", "");
        let job = sandbox.read("job.yml").replace("a, b, c", &words.join(", "));
        sandbox.write("job.yml", job);
        loop {
            // Of losses a job may have some; of one run's workers no more are killed than that.
            let mut child = start(&sandbox, &["--jobStore", "store", "--restart=auto"]);
            std::thread::sleep(Duration::from_millis(random.below(patience)));
            patience += 20;
            for _ in 0..3 {
                let workers = workers(&sandbox.path("store"));
                if !workers.is_empty() {
                    let worker = workers[random.below(workers.len() as u64) as usize];
                    // It may be gone by now.
                    let killed = Command::new("kill").args(["-KILL", &worker.to_string()]).output();
                    kills[1] += u32::from(killed.expect("kill is there").status.success());
                }
                std::thread::sleep(Duration::from_millis(random.below(100)));
            }
            if !is_enough(&kills) && child.try_wait().expect("it can be asked").is_none() {
                signal(child.id(), "-KILL");
                kills[0] += 1;
            }
            let output = child.wait_with_output().expect("it ends");
            match output.status.code() {
                None => {}
                Some(0) => break,
                Some(code) => panic!("exit code {code}: {}", text(&output)),
            }
        }
        let expected: String = words.iter().map(|word| format!("{word} text deep\n")).collect();
        assert_eq!(sandbox.read("out/all.txt"), expected);
        assert_eq!(sandbox.list("out"), ["all.txt"]);
        assert!(!sandbox.path("store").exists());
        eventually("the stragglers are gone", || workers(&sandbox.path("store")).is_empty());
    }
}

#[test]
fn a_straggler_of_a_store_that_was_made_anew_leaves_nothing_in_it() {
    let sandbox = words();
    let child = start(&sandbox, &["--jobStore", "store"]);
    eventually("all have begun", || lines(&sandbox, "began").len() == 3);
    let stragglers = workers(&sandbox.path("store"));
    stragglers.iter().for_each(|worker| signal(*worker, "-STOP"));
    signal(child.id(), "-KILL");
    child.wait_with_output().expect("it ends");
    let cleaned = moil(&sandbox, &["clean", "store"], "");
    assert!(cleaned.status.success(), "{}", text(&cleaned));
    sandbox.write("go", "");
    let child = start(&sandbox, &["--jobStore", "store", "--clean", "never"]);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", text(&output));
    let before = files_below(&sandbox.path("store"));
    stragglers.iter().for_each(|worker| signal(*worker, "-CONT"));
    eventually("the stragglers are gone", || workers(&sandbox.path("store")).is_empty());
    assert_eq!(files_below(&sandbox.path("store")), before);
    assert_eq!(sandbox.read("out/all.txt"), ALL);
}

/// All files below a directory, those of the run that is there now.
fn files_below(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => files.extend(files_below(&path)),
            path => files.push(path),
        }
    }
    files.sort();
    files
}

fn moil(sandbox: &Sandbox, args: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_moil"))
        .args(args)
        .current_dir(sandbox.path(""))
        .env_clear()
        .env("PATH", PATH)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    child.stdin.take().expect("a pipe").write_all(stdin.as_bytes()).expect("it is read");
    child.wait_with_output().expect("it ends")
}

#[test]
fn a_worker_says_why_it_cannot_have_its_attempt() {
    let sandbox = words();
    sandbox.write("go", "");
    let output =
        start(&sandbox, &["--jobStore", "store", "--clean", "never"]).wait_with_output().expect("ends");
    assert!(output.status.success(), "{}", text(&output));
    let run = sandbox.list("store").pop().expect("a run");
    let terms = sandbox.list(&format!("store/{}/attempts", run.display()));
    let term = terms[0].to_str().expect("a term");
    let good = format!("{term}/join.1");
    let unknown = format!("{term}/nobody.1");
    let cases = [
        ("store", "", "", 1, "--attempt is missing"),
        ("store", "join.1", "", 1, "is not the word of an attempt"),
        ("store", "../../etc/passwd", "", 1, "is not the word of an attempt"),
        ("store", &format!("{term}/../../x"), "", 69, "cannot name a record"),
        ("store", "7-abc/join.1", "", 69, "there is no attempt"),
        ("store", &unknown, "", 69, "there is no attempt"),
        ("nowhere", &good, "", 69, "does not exist"),
        ("store", &good, "not JSON, and a password", 1, "the secrets cannot be read"),
    ];
    for (store, word, secrets, code, expected) in cases {
        let mut args = vec!["worker", "--store", store];
        args.extend(["--attempt", word].into_iter().filter(|_| !word.is_empty()));
        let output = moil(&sandbox, &args, secrets);
        let told = text(&output);
        assert_eq!(output.status.code(), Some(code), "{word}: {told}");
        assert!(told.contains(expected), "{word}: {told}");
        assert!(!told.contains("password"), "{told}");
    }
    // What has its result is not run again.
    let output = moil(&sandbox, &["worker", "--store", "store", "--attempt", &good], "");
    assert!(output.status.success(), "{}", text(&output));
}

/// Files of the store whose paths have this part.
fn stored(sandbox: &Sandbox, part: &str) -> Vec<std::path::PathBuf> {
    let mut files = files_below(&sandbox.path("store"));
    files.retain(|path| path.to_string_lossy().contains(part));
    files
}

#[test]
fn a_late_worker_begins_only_if_a_leader_lives() {
    let sandbox = words();
    // Its jobs wait for a file.
    let mut leader = start(&sandbox, &["--jobStore", "store"]);
    eventually("an attempt is handed over", || !stored(&sandbox, "/attempts/").is_empty());
    eventually("it gives signs of life", || !stored(&sandbox, "/heartbeat/").is_empty());
    leader.kill().expect("it is killed");
    leader.wait().expect("it ends");
    let attempt = stored(&sandbox, "/attempts/").remove(0);
    let name = |path: &std::path::Path| path.file_name().expect("a name").to_string_lossy().into_owned();
    let word = format!("{}/{}", name(attempt.parent().expect("a term")), name(&attempt));
    let late = || moil(&sandbox, &["worker", "--store", "store", "--attempt", &word, "--late", "1"], "");
    // The sign of life that it left is old now.
    let beat = stored(&sandbox, "/heartbeat/").remove(0);
    let text_of_beat = std::fs::read_to_string(&beat).expect("it is read");
    let at = text_of_beat.find("\"at\":").expect("it has a time") + 5;
    let end = at + text_of_beat[at..].find(',').expect("more follows");
    let old = format!("{}1{}", &text_of_beat[..at], &text_of_beat[end..]);
    std::fs::remove_file(&beat).expect("removed");
    std::fs::write(&beat, old).expect("written");
    let told = late();
    assert_eq!(told.status.code(), Some(1), "{}", text(&told));
    assert!(
        text(&told).contains("does not begin: no leader of its run gives signs of life"),
        "{}",
        text(&told)
    );
    // And this one is new.
    std::fs::write(&beat, &text_of_beat).expect("written");
    sandbox.write("go", "");
    let told = late();
    assert!(told.status.success(), "{}", text(&told));
    eventually("those that the leader left are gone", || workers(&sandbox.path("store")).is_empty());
}

#[test]
fn workers_elsewhere_have_nothing_but_the_bucket() {
    let (sandbox, server) = (words(), S3Server::start());
    sandbox.write("go", "");
    let url = server.url();
    let env = access(&url);
    let line = args(&["--jobStore", "aws:eu-central-1:poor"]).iter().map(Into::into).collect();
    let answer = sandbox.run_with(line, &env);
    assert_eq!(answer.code, ExitCode::SUCCESS, "{}", answer.stderr);
    assert_eq!(sandbox.read("out/all.txt"), ALL);
}

/// One that is too large to go with each attempt.
#[test]
fn a_large_tool_comes_to_workers_as_well() {
    let (sandbox, server) = (Sandbox::new(), S3Server::start());
    make_bucket(&server, "shared", &[]);
    let tool = serde_json::json!({
        "cwlVersion": "v1.2", "class": "CommandLineTool", "baseCommand": ["sh", "-c", "echo ${#0} >o.txt", "x".repeat(70_000)],
        "inputs": {}, "outputs": {"o": {"type": "File", "outputBinding": {"glob": "o.txt"}}},
    });
    sandbox.write("main.cwl", tool.to_string());
    let line = "--batchSystem processes --jobStore s3://shared/run --clean never --retryCount 0 --outdir out main.cwl";
    super::buckets::succeeds(&sandbox, &server, line);
    assert_eq!(sandbox.read("out/o.txt"), "70000\n");
    assert!(server.objects("shared").keys().any(|key| key.contains("/tools/")), "it was stored by itself");
}
