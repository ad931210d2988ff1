//! A worker that takes more than one job, told what a leader would tell it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use moil_job::failure::FailureKind;
use moil_job::frames::{self, Answer, Leader, Order, Run};
use moil_job::result::Outcome;
use moil_testing::hooks::{Call, Fault};
use moil_testing::s3::{ACCESS_KEY, S3Server, SECRET_KEY};
use serde_json::Value;

use super::buckets::{make_bucket, succeeds};
use super::sandbox::{Sandbox, eventually};

/// Runs a line of the shell.
const TOOL: &str = "{cwlVersion: v1.2, class: CommandLineTool, baseCommand: [sh, -c], outputs: {out: stdout}, \
     inputs: {line: {type: string, inputBinding: {position: 1}}}}";

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a leader says of its run.
#[derive(Clone)]
struct Of {
    store: String,
    /// What its leader calls the run.
    number: String,
    by_number: bool,
    term: String,
    settings: Option<String>,
}

/// A worker and the leader that it works for.
struct Worker {
    sandbox: Sandbox,
    child: Child,
    input: ChildStdin,
    lines: Receiver<Vec<u8>>,
    /// What the worker says is not read while this is set.
    sleeps: Arc<AtomicBool>,
    /// Its log.
    said: JoinHandle<String>,
    leader: Leader,
    /// The directory of the run, if it is in one.
    run: PathBuf,
    of: Of,
    /// An attempt as its leader has written it.
    attempt: Value,
}

impl Worker {
    fn start() -> Self {
        let sandbox = Sandbox::with(TOOL);
        // A run that is over: what it has left is what workers find.
        let store = sandbox.path("store").display().to_string();
        let words = [
            "--batchSystem",
            "processes",
            "--jobStore",
            &store,
            "--clean",
            "never",
            "main.cwl",
            "--line",
            "true",
        ];
        assert!(sandbox.program(&words).output().expect("it runs").status.success());
        let only = |path: PathBuf| {
            let mut found = std::fs::read_dir(path).expect("it is there");
            found
                .find_map(|entry| Some(entry.ok()?.path()).filter(|path| !path.ends_with(".reserve")))
                .expect("one")
        };
        let run = only(store.clone().into());
        let attempts = only(run.join("attempts"));
        let term = attempts.file_name().and_then(|name| name.to_str()).expect("a term").to_owned();
        let text = std::fs::read(only(attempts)).expect("it is read");
        // Before it is what tells whether it is whole.
        let begin = text.iter().position(|byte| *byte == b'{').expect("an object");
        let attempt = serde_json::from_slice(&text[begin..]).expect("JSON");
        let of = Of { store, number: "r1".to_owned(), by_number: false, term, settings: None };
        let mut worker = Self::of(sandbox, of, run, attempt, &[]);
        worker.hello(true);
        assert_eq!(worker.here(), Vec::<Arc<str>>::new());
        worker
    }

    /// One that is told how workers work, by the leader of a run in a bucket.
    fn in_bucket(server: &S3Server) -> (Self, Arc<str>) {
        make_bucket(server, "shared", &[]);
        let sandbox = Sandbox::with(TOOL);
        let words = "--batchSystem processes --jobStore s3://shared/run --clean never main.cwl --line true";
        succeeds(&sandbox, server, words);
        let objects = server.objects("shared");
        let of = |folder: &str| {
            let mut found = objects.iter().filter_map(|(key, bytes)| {
                let (before, rest) = key.split_once(folder)?;
                Some((before, rest, String::from_utf8(bytes.clone()).ok()?))
            });
            found.next().expect("it is there")
        };
        let (run, word, text) = of("/attempts/");
        let (number, term) = (run.trim_start_matches("run/run-"), word.split('/').next().expect("a term"));
        let lines: Vec<&str> = text.lines().collect();
        let [attempt, tool, settings] = lines[..] else { panic!("they go along: {text}") };
        assert!(!objects.keys().any(|key| key.contains("/settings/")), "they go with the run");
        let of = Of {
            store: "s3://shared/run".to_owned(),
            number: number.to_owned(),
            by_number: true,
            term: term.to_owned(),
            settings: Some(settings.to_owned()),
        };
        let begin = attempt.find('{').expect("an object");
        let attempt = serde_json::from_str(&attempt[begin..]).expect("JSON");
        let variables = [
            ("AWS_ENDPOINT_URL", server.url()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
        ];
        server.hooks().forget_calls();
        let mut worker = Self::of(sandbox, of, PathBuf::new(), attempt, &variables);
        worker.hello(false);
        assert_eq!(worker.here(), Vec::<Arc<str>>::new());
        (worker, tool.into())
    }

    fn of(sandbox: Sandbox, of: Of, run: PathBuf, attempt: Value, variables: &[(&str, String)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_moil"))
            .args(["worker", "--serve", "--room", "1000000"])
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut stderr = child.stderr.take().expect("it is piped");
        let said = std::thread::spawn(move || std::io::read_to_string(&mut stderr).expect("it is read"));
        let (sender, lines) = channel();
        let sleeps = Arc::new(AtomicBool::new(false));
        let waits = Arc::clone(&sleeps);
        std::thread::spawn(move || {
            let mut line = Vec::new();
            let mut read = |line: &mut Vec<u8>| {
                while waits.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(10));
                }
                output.read_until(b'\n', line)
            };
            while read(&mut line).is_ok_and(|length| length > 0) {
                if sender.send(std::mem::take(&mut line)).is_err() {
                    return;
                }
            }
        });
        let input = child.stdin.take().expect("it is piped");
        let leader = Leader { term: of.term.clone(), mark: "m1".to_owned() };
        Self { sandbox, child, input, lines, sleeps, said, leader, run, of, attempt }
    }

    fn hello(&mut self, lines: bool) {
        let Of { store, number, by_number, settings, .. } = self.of.clone();
        let run = Run { store, number, by_number };
        self.tell(&Order::Hello { version: frames::VERSION, lines, run, settings });
    }

    fn tell(&mut self, order: &Order) {
        let line = frames::write_order(&self.leader, order);
        self.write(line.as_bytes());
    }

    fn write(&mut self, bytes: &[u8]) {
        self.input.write_all(bytes).expect("it reads");
    }

    fn word(&self, number: u32) -> Arc<str> {
        format!("{}/line.{number}", self.leader.term).into()
    }

    /// Tells it to run a line of the shell.
    fn run(&mut self, number: u32, line: &str) {
        self.run_with(number, line, None);
    }

    /// The same, with the tool if it is told.
    fn run_with(&mut self, number: u32, line: &str, tool: Option<Arc<str>>) {
        let mut attempt = self.attempt.clone();
        attempt["id"]["number"] = number.into();
        let text = attempt.to_string().replace("\"true\"", &Value::from(line).to_string());
        assert!(text.contains(&Value::from(line).to_string()), "{text}");
        let word = self.word(number);
        self.tell(&Order::Run { word, attempt: text, tool });
    }

    fn next(&self) -> Answer {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).expect("it answers");
            if let Some(answer) = frames::read_answer(&line, &self.leader.mark) {
                return answer;
            }
        }
    }

    fn here(&self) -> Vec<Arc<str>> {
        loop {
            if let Answer::Here { attempts, keeps_apart, .. } = self.next() {
                assert!(keeps_apart);
                return attempts;
            }
        }
    }

    /// The next end: whose, and what it was.
    fn finished(&self) -> (Arc<str>, Outcome) {
        loop {
            if let Answer::Finished { word, outcome } = self.next() {
                return (word, *outcome);
            }
        }
    }

    fn done(&self, number: u32) -> moil_job::result::JobResult {
        match self.finished() {
            (word, Outcome::Done(result)) if word == self.word(number) => result,
            other => panic!("it is not the end of {number}: {other:?}"),
        }
    }

    /// What is in the store of an attempt.
    fn result(&self, number: u32) -> Option<String> {
        let path = self.run.join("results").join(&*self.word(number));
        std::fs::read_to_string(path).ok()
    }

    fn ended(self) -> (String, Sandbox) {
        self.ended_with(0)
    }

    fn ended_with(mut self, code: i32) -> (String, Sandbox) {
        drop(self.input);
        let status = self.child.wait().expect("it ends");
        let said = self.said.join().expect("it is read");
        assert_eq!(status.code(), Some(code), "{said}");
        (said, self.sandbox)
    }
}

/// Whether attempts can be kept apart here.
fn can() -> bool {
    let unshare = Command::new("unshare").args(["--user", "--map-root-user", "--mount", "true"]).output();
    let can = unshare.is_ok_and(|output| output.status.success());
    #[expect(clippy::disallowed_methods, reason = "it tells tests what has to be there")]
    let required = std::env::var("MOIL_REQUIRE").unwrap_or_default();
    assert!(can || !required.contains("apptainer"), "no namespaces can be made here");
    can
}

#[test]
fn a_worker_takes_one_attempt_after_the_other_and_stores_what_it_tells() {
    if !can() {
        return;
    }
    let mut worker = Worker::start();
    // The first one wants much memory and leaves things around.
    worker.run(
        2,
        "a=$(head -c 100000000 /dev/zero | tr '\\0' x); echo x >/tmp/left; (sleep 600 &) ; echo first",
    );
    let first = worker.done(2);
    assert!(worker.result(2).is_some(), "it is stored before it is told");
    worker.run(3, "ls /tmp; echo second; echo said >&2");
    let second = worker.done(3);
    assert!(first.usage.peak_memory > 90_000_000, "{:?}", first.usage);
    assert!(second.usage.peak_memory < 50_000_000, "{:?}", second.usage);
    assert_eq!(second.usage.output_bytes, "second\n".len() as u64, "nothing else is in /tmp");
    worker.tell(&Order::Alive);
    assert_eq!(worker.here().len(), 2, "nobody has taken them");
    for number in [2, 3] {
        let word = worker.word(number);
        worker.tell(&Order::Taken { word });
    }
    worker.tell(&Order::Alive);
    assert!(worker.here().is_empty());
    worker.tell(&Order::Finish);
    assert!(worker.ended().0.contains("said"), "people can read what tools say");
}

#[test]
fn one_of_two_attempts_is_cancelled_and_the_other_goes_on() {
    if !can() {
        return;
    }
    let mut worker = Worker::start();
    worker.run(2, "echo begun >&2; sleep 600");
    worker.run(3, "echo begun >&2; sleep 3; echo well");
    let mut begun = 0;
    while begun < 2 {
        begun += usize::from(matches!(worker.next(), Answer::Line { .. }));
    }
    let word = worker.word(2);
    worker.tell(&Order::Cancel { word: Arc::clone(&word) });
    match worker.finished() {
        (ended, Outcome::Failed(failure)) if ended == word => assert_eq!(failure.kind, FailureKind::Lost),
        other => panic!("it is not the end of the cancelled one: {other:?}"),
    }
    worker.done(3);
    worker.tell(&Order::Finish);
    worker.ended();
}

#[test]
fn what_is_no_order_is_left_out_and_no_order_is_carried_out_twice() {
    if !can() {
        return;
    }
    let mut worker = Worker::start();
    let whole = frames::write_order(&worker.leader, &Order::Alive);
    worker.write(&whole.as_bytes()[..whole.len() / 2]);
    worker.write(b"\n\n\xff\xfe{}[[[[\n");
    worker.write(&[b'x'; 100_000]);
    worker.write(b"\n");
    // Beside the directories of attempts: nothing else can be written to.
    let marks = worker.run.join("work").join(&worker.leader.term).join("jobs/marks");
    for _ in 0..3 {
        worker.run(2, "echo x >>../../marks; sleep 1");
    }
    worker.done(2);
    // Also not when its end was heard, and an old order comes late.
    let word = worker.word(2);
    worker.tell(&Order::Taken { word });
    worker.run(2, "echo x >>../../marks");
    worker.run(3, "true");
    worker.done(3);
    assert_eq!(std::fs::read_to_string(&marks).expect("it ran"), "x\n");
    // A large one lies in the store, as that of the run before does.
    let word: Arc<str> = format!("{}/main.cwl.1", worker.leader.term).into();
    worker.tell(&Order::Run { word: Arc::clone(&word), attempt: String::new(), tool: None });
    let ended = worker.finished();
    assert!(ended.0 == word && matches!(ended.1, Outcome::Done(_)), "{ended:?}");
    // One that cannot be read has no end that counts, and says so.
    let word = worker.word(4);
    worker.tell(&Order::Run { word, attempt: "{}".to_owned(), tool: None });
    let (_, outcome) = worker.finished();
    assert!(
        matches!(&outcome, Outcome::Failed(failure) if failure.kind == FailureKind::System),
        "{outcome:?}"
    );
    assert_eq!(worker.result(4), None);
    worker.tell(&Order::Finish);
    worker.ended();
}

#[test]
fn a_tool_may_be_told_and_an_attempt_whose_tool_was_not_heard_of_waits_to_be_told_again() {
    if !can() {
        return;
    }
    let mut worker = Worker::start();
    let tools = std::fs::read_dir(worker.run.join("tools")).expect("a directory");
    let stored = tools.map(|entry| entry.expect("an entry").path()).next().expect("a tool");
    let bytes = std::fs::read(&stored).expect("it is read");
    let begin = bytes.iter().position(|byte| *byte == b'{').expect("an object");
    let tool: Arc<str> = String::from_utf8(bytes[begin..].to_owned()).expect("text").into();
    std::fs::remove_file(stored).expect("removed");
    worker.run(2, "true");
    worker.tell(&Order::Alive);
    assert_eq!(worker.here(), Vec::<Arc<str>>::new());
    worker.run_with(2, "true", Some(tool));
    worker.done(2);
    worker.run(3, "true");
    worker.done(3);
    worker.tell(&Order::Finish);
    worker.ended();
}

fn results(server: &S3Server) -> usize {
    server.objects("shared").keys().filter(|key| key.contains("/results/")).count()
}

/// A worker that is told all that it needs looks soon whether it reaches the job store.
#[test]
fn a_job_store_that_cannot_be_used_is_told_long_before_a_tool_ends() {
    if !can() {
        return;
    }
    const FORBIDDEN: Fault = Fault::Refuse { status: 403, code: "AccessDenied" };
    // The first ends before it is looked; the last could store what its end makes of it.
    let (all, reads): (fn(&Call) -> bool, fn(&Call) -> bool) = (|_| true, |call| call.is("GetObject"));
    for (line, refused, told) in [
        ("true", all, "the "),
        ("sleep 600", all, "the worker cannot use the job store"),
        ("sleep 600", reads, "the worker cannot use the job store"),
    ] {
        let server = S3Server::start();
        let (mut worker, tool) = Worker::in_bucket(&server);
        let before = results(&server);
        server.hooks().inject(0..100, refused, FORBIDDEN);
        worker.run_with(2, line, Some(tool));
        let (said, _sandbox) = worker.ended_with(69);
        assert!(said.contains(told) && said.contains("AccessDenied"), "{said}");
        assert_eq!(results(&server), before, "nothing came of it");
    }
    // One that may read, but not write.
    let server = S3Server::start();
    let (mut worker, tool) = Worker::in_bucket(&server);
    server.hooks().inject(0..100, |call| call.is("PutObject"), FORBIDDEN);
    worker.run_with(2, "sleep 4", Some(tool));
    assert!(worker.ended_with(69).0.contains("cannot be stored"));
    assert_eq!(server.hooks().count("GetObject"), 2, "it asked, and whether its result is there");
    let server = S3Server::start();
    let (mut worker, tool) = Worker::in_bucket(&server);
    // What is stored says enough; and one question does.
    worker.run_with(2, "true", Some(Arc::clone(&tool)));
    worker.done(2);
    // On a slow machine it has asked by then.
    let asked = server.hooks().count("GetObject");
    assert!(asked <= 1, "{:#?}", server.hooks().calls());
    worker.run(3, "sleep 4");
    worker.done(3);
    assert_eq!(server.hooks().count("GetObject"), asked, "{:#?}", server.hooks().calls());
    worker.tell(&Order::Finish);
    worker.ended();
    let server = S3Server::start();
    let (mut worker, tool) = Worker::in_bucket(&server);
    worker.run_with(2, "sleep 4", Some(tool));
    worker.run(3, "sleep 4");
    let (first, second) = (worker.finished().1, worker.finished().1);
    assert!(matches!((&first, &second), (Outcome::Done(_), Outcome::Done(_))), "{first:?} {second:?}");
    assert_eq!(server.hooks().count("GetObject"), 1, "{:#?}", server.hooks().calls());
    worker.tell(&Order::Finish);
    worker.ended();
}

#[test]
fn a_later_leader_hears_of_everything_and_an_earlier_one_is_not_heard() {
    if !can() {
        return;
    }
    let mut worker = Worker::start();
    worker.run(2, "sleep 3");
    worker.run(3, "true");
    worker.done(3);
    let words = [worker.word(2), worker.word(3)];
    let first = worker.leader.clone();
    let later = Leader { term: "99-abcdef".to_owned(), mark: "m2".to_owned() };
    worker.leader = later.clone();
    worker.hello(false);
    let mut known = worker.here();
    known.sort();
    assert_eq!(known, words, "one is at work, one was not taken");
    assert_eq!(worker.finished().0, words[1]);
    // The first one was paused.
    worker.leader = first;
    worker.run(4, "true");
    worker.tell(&Order::Cancel { word: Arc::clone(&words[0]) });
    worker.tell(&Order::Finish);
    worker.leader = later;
    let (word, outcome) = worker.finished();
    assert_eq!(word, words[0]);
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    worker.tell(&Order::Finish);
    let run = worker.run.clone();
    let (_, _sandbox) = worker.ended();
    let ended = std::fs::read_dir(run.join("results")).expect("it is there").flatten();
    let ended: usize = ended.map(|term| std::fs::read_dir(term.path()).expect("a term").count()).sum();
    assert_eq!(ended, 3, "that of the run before, and two");
}

#[test]
fn a_worker_that_is_asked_to_end_leaves_word_of_its_attempts() {
    if !can() {
        return;
    }
    let mut worker = Worker::start();
    worker.run(2, "echo begun >&2; sleep 600");
    while !matches!(worker.next(), Answer::Line { .. }) {}
    let sent = Command::new("kill").args(["-TERM", &worker.child.id().to_string()]).status();
    assert!(sent.expect("kill is there").success());
    let (_, outcome) = worker.finished();
    assert!(matches!(&outcome, Outcome::Failed(failure) if failure.kind == FailureKind::Lost), "{outcome:?}");
    let stored = worker.result(2).expect("it is stored");
    assert!(stored.contains("the worker was asked to end"), "{stored}");
    worker.ended();
}

/// As when its leader sleeps, and nobody takes what tools say.
#[test]
fn a_worker_whose_words_nobody_takes_hears_that_it_is_to_end() {
    if !can() {
        return;
    }
    let mut worker = Worker::start();
    worker.run(2, "echo begun >&2");
    worker.done(2);
    worker.sleeps.store(true, Ordering::Relaxed);
    worker.run(3, "printf '%0200d\\n' $(seq 2000) >&2; sleep 600");
    // Many more bytes than the pipe holds.
    std::thread::sleep(Duration::from_secs(3));
    let sent = Command::new("kill").args(["-TERM", &worker.child.id().to_string()]).status();
    assert!(sent.expect("kill is there").success());
    eventually("word of the attempt is stored", || worker.result(3).is_some());
    let stored = worker.result(3).expect("it is stored");
    assert!(stored.contains("the worker was asked to end"), "{stored}");
    worker.child.wait().expect("it ends");
    worker.sleeps.store(false, Ordering::Relaxed);
    worker.ended();
}

#[test]
fn a_worker_goes_on_for_another_run_as_if_it_were_new() {
    if !can() {
        return;
    }
    let mut worker = Worker::start();
    worker.run(2, "sleep 2");
    // Not while there is an attempt.
    worker.tell(&Order::Rest { seconds: 60 });
    worker.done(2);
    let first = worker.leader.clone();
    let (stranger, number) =
        (Leader { term: "99-abcdef".to_owned(), mark: "m2".to_owned() }, "r2".to_owned());
    (worker.leader, worker.of.number) = (stranger, number);
    worker.hello(true);
    worker.tell(&Order::Rest { seconds: 60 });
    worker.run(3, "true");
    worker.leader = first.clone();
    worker.tell(&Order::Alive);
    assert_eq!(worker.here(), [worker.word(2)], "a leader of another run is not heard");
    let word = worker.word(2);
    worker.tell(&Order::Taken { word });
    worker.tell(&Order::Rest { seconds: 60 });
    while worker.next() != Answer::Rests {}
    // Of the same store: what it was told before is all the same to it.
    worker.leader = Leader { mark: "m3".to_owned(), ..first };
    worker.run(4, "true");
    worker.hello(true);
    assert!(worker.here().is_empty());
    worker.run(2, "echo again");
    worker.done(2);
    worker.tell(&Order::Rest { seconds: 1 });
    worker.ended();
}
