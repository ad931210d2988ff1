//! The command lines of Docker and Podman: pure functions of what is to run and how.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::docker_engine::{DockerEngine, Kind};
use crate::invocation::{Bind, CommandLine, Invocation, InvocationError, Network};
use crate::mount;

/// How an invocation is run: what Docker and Podman are told beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// The image: its id, so that a tag that moves meanwhile does no harm.
    pub image: String,
    /// What the container is called: by this name it is removed.
    pub name: String,
    /// A file that is to hold the tool's variables, for the engine to read: [`DockerCommand::variables`].
    pub variables: PathBuf,
    /// User and group; `None` for the image's own.
    pub user: Option<(u32, u32)>,
    /// Rootless Podman maps us to root in the container; this maps us to ourselves.
    pub keep_id: bool,
    /// The root file system cannot be written to.
    pub read_only: bool,
    /// The container stays when it has ended.
    pub keep: bool,
    /// A file that must not be there, for the container's id.
    pub id_file: Option<PathBuf>,
    /// The size of `/dev/shm`, as the engine writes it: `64m`.
    pub shm_size: Option<String>,
    /// The most memory it may use, in MiB.
    pub memory_mib: Option<u64>,
    /// The most cores it may use.
    pub cores: Option<u64>,
}

/// A process to start, and the file that must be there before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DockerCommand {
    /// The process. Its working directory and its standard streams are the caller's matter.
    pub line: CommandLine,
    /// What [`Container::variables`] is to hold. Other users must not read it: there may be secrets in it.
    pub variables: String,
}

/// The least memory that Docker lets a container have, in MiB. With less not even its first process starts.
const LEAST_MEMORY: u64 = 6;

/// The longest line that Docker reads from a file of variables, in bytes.
const LONGEST_LINE: usize = 60_000;

/// The process that runs this invocation.
///
/// Variables go into a file: on the command line every user of the machine could read them, and in the client's own
/// environment some would change what it does (`DOCKER_HOST`, `LD_PRELOAD`). Only what a file cannot express, a line
/// break, goes onto the command line.
///
/// # Errors
/// The invocation has something that the engine's options cannot express.
pub fn command_line(
    engine: &DockerEngine,
    container: &Container,
    invocation: &Invocation,
) -> Result<DockerCommand, InvocationError> {
    if invocation.command.is_empty() {
        return Err(InvocationError::NoCommand);
    }
    let name = engine.kind.to_string();
    let mut argv: Vec<OsString> = vec![engine.program.clone().into()];
    argv.extend(["run", "-i", "--pull=never", "--log-driver=none"].map(OsString::from));
    let mut push = |word: String| argv.push(word.into());
    push(format!("--name={}", container.name));
    push(format!("--label={}={}", LABEL, engine.run));
    if !container.keep {
        push("--rm".into());
    }
    if container.keep_id {
        push("--userns=keep-id".into());
    }
    if let Some((user, group)) = container.user {
        push(format!("--user={user}:{group}"));
    }
    if container.read_only {
        push("--read-only=true".into());
    }
    match &invocation.network {
        Network::Host => {}
        Network::None => push("--network=none".into()),
        Network::Named(network) => push(format!("--network={}", mount::network(network)?)),
    }
    if invocation.nvidia {
        push(match engine.kind {
            Kind::Docker => "--gpus=all".into(),
            Kind::Podman => "--device=nvidia.com/gpu=all".into(),
        });
    }
    if let Some(size) = &container.shm_size {
        push(format!("--shm-size={size}"));
    }
    if let Some(memory) = container.memory_mib {
        push(format!("--memory={}m", memory.max(LEAST_MEMORY)));
    }
    if let Some(cores) = container.cores {
        push(format!("--cpus={cores}"));
    }
    if let Some(path) = &container.id_file {
        argv.push(joined("--cidfile=", mount::path(&name, path)?));
    }
    let temporary = Bind { source: invocation.temporary.clone(), target: "/tmp".into(), writable: true };
    for bind in [&invocation.output, &temporary].into_iter().chain(&invocation.binds) {
        argv.push(mount::option(&name, bind)?);
    }
    argv.push(joined("--workdir=", mount::path(&name, &invocation.output.target)?));
    let home = ("HOME".to_owned(), invocation.output.target.to_string_lossy().into_owned());
    let mut variables = String::new();
    for (variable, value) in std::iter::once(&home).chain(&invocation.environment) {
        if !can_be_named(variable) || value.contains('\0') {
            return Err(InvocationError::Variable { engine: name, name: variable.clone() });
        }
        if value.contains(['\n', '\r']) || value.len() > LONGEST_LINE {
            argv.push(format!("--env={variable}={value}").into());
        } else {
            variables.push_str(&format!("{variable}={value}\n"));
        }
    }
    argv.push(joined("--env-file=", mount::path(&name, &container.variables)?));
    argv.push(container.image.clone().into());
    argv.extend(invocation.command.iter().map(OsString::from));
    Ok(DockerCommand { line: CommandLine { argv, environment: Vec::new() }, variables })
}

/// The words with which the engine gives all below these directories to a user and a group, in a container of this name.
///
/// # Errors
/// A path that the engine's options cannot express.
pub(crate) fn give(
    engine: &DockerEngine,
    image: &str,
    name: &str,
    directories: &[&Path],
    (user, group): (u32, u32),
) -> Result<Vec<OsString>, InvocationError> {
    let mut words: Vec<OsString> = [
        "run",
        "--rm",
        "--pull=never",
        "--log-driver=none",
        "--network=none",
        "--user=0:0",
        "--entrypoint=chown",
    ]
    .map(OsString::from)
    .into();
    words.push(format!("--name={name}").into());
    words.push(format!("--label={}={}", LABEL, engine.run).into());
    let targets: Vec<PathBuf> = (0..directories.len()).map(|at| format!("/moil/{at}").into()).collect();
    for (source, target) in directories.iter().zip(&targets) {
        let bind = Bind { source: source.into(), target: target.clone(), writable: true };
        words.push(mount::option(&engine.kind.to_string(), &bind)?);
    }
    words.push(image.into());
    // Of links themselves, not of what they lead to.
    words.extend(["-R", "-h"].map(OsString::from));
    words.push(format!("{user}:{group}").into());
    words.extend(targets.into_iter().map(OsString::from));
    Ok(words)
}

/// The label of all containers of a run.
pub(crate) const LABEL: &str = "moil.run";

/// Whether a variable can stand in a file of variables: not as a comment, nor in two words.
fn can_be_named(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('#')
        && !name.contains(|c: char| c == '=' || c == '\0' || c.is_whitespace())
}

fn joined(option: &str, path: &Path) -> OsString {
    let mut word = OsString::from(option);
    word.push::<&OsStr>(path.as_os_str());
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine(kind: Kind) -> DockerEngine {
        DockerEngine {
            program: "/usr/bin/engine".into(),
            kind,
            run: "host.7".into(),
            environment: Vec::new(),
        }
    }

    fn bind(source: &str, target: &str, writable: bool) -> Bind {
        Bind { source: source.into(), target: target.into(), writable }
    }

    fn invocation() -> Invocation {
        Invocation {
            output: bind("/work/out", "/var/spool/cwl", true),
            temporary: "/work/tmp".into(),
            binds: vec![bind("/data/in.txt", "/var/lib/cwl/in/0/in.txt", false)],
            network: Network::None,
            nvidia: false,
            environment: vec![("TMPDIR".into(), "/tmp".into()), ("LC_ALL".into(), "C".into())],
            command: ["cat", "/var/lib/cwl/in/0/in.txt"].map(String::from).to_vec(),
        }
    }

    fn container() -> Container {
        Container {
            image: "3570bf9edecd".into(),
            name: "moil-host.7-1".into(),
            variables: "/work/variables".into(),
            user: Some((1000, 100)),
            keep_id: false,
            read_only: true,
            keep: false,
            id_file: None,
            shm_size: None,
            memory_mib: None,
            cores: None,
        }
    }

    /// One word a line, the file of variables after them.
    fn print(kind: Kind, container: &Container, invocation: &Invocation) -> String {
        let command = command_line(&engine(kind), container, invocation).unwrap();
        assert!(command.line.environment.is_empty());
        let words: Vec<_> = command.line.argv.iter().map(|word| word.to_string_lossy()).collect();
        format!("{}\n---\n{}", words.join("\n"), command.variables)
    }

    fn refusal(change: impl FnOnce(&mut Invocation)) -> String {
        let mut changed = invocation();
        change(&mut changed);
        command_line(&engine(Kind::Docker), &container(), &changed).unwrap_err().to_string()
    }

    #[test]
    fn docker_as_it_is_run_most_often() {
        insta::assert_snapshot!(print(Kind::Docker, &container(), &invocation()), @r##"
        /usr/bin/engine
        run
        -i
        --pull=never
        --log-driver=none
        --name=moil-host.7-1
        --label=moil.run=host.7
        --rm
        --user=1000:100
        --read-only=true
        --network=none
        --mount=type=bind,source=/work/out,target=/var/spool/cwl
        --mount=type=bind,source=/work/tmp,target=/tmp
        --mount=type=bind,source=/data/in.txt,target=/var/lib/cwl/in/0/in.txt,readonly
        --workdir=/var/spool/cwl
        --env-file=/work/variables
        3570bf9edecd
        cat
        /var/lib/cwl/in/0/in.txt
        ---
        HOME=/var/spool/cwl
        TMPDIR=/tmp
        LC_ALL=C
        "##);
    }

    #[test]
    fn podman_with_all_that_can_be_said() {
        let mut invocation = invocation();
        invocation.network = Network::Named("lab".into());
        invocation.nvidia = true;
        invocation.binds = vec![bind(r#"/data/a,b "c""#, "/var/lib/cwl/in/0/a,b", false)];
        let container = Container {
            keep_id: true,
            read_only: false,
            keep: true,
            id_file: Some("/ids/one.cid".into()),
            shm_size: Some("64m".into()),
            memory_mib: Some(512),
            cores: Some(2),
            ..container()
        };
        insta::assert_snapshot!(print(Kind::Podman, &container, &invocation), @r##"
        /usr/bin/engine
        run
        -i
        --pull=never
        --log-driver=none
        --name=moil-host.7-1
        --label=moil.run=host.7
        --userns=keep-id
        --user=1000:100
        --network=lab
        --device=nvidia.com/gpu=all
        --shm-size=64m
        --memory=512m
        --cpus=2
        --cidfile=/ids/one.cid
        --mount=type=bind,source=/work/out,target=/var/spool/cwl
        --mount=type=bind,source=/work/tmp,target=/tmp
        --mount=type=bind,"source=/data/a,b ""c""","target=/var/lib/cwl/in/0/a,b",readonly
        --workdir=/var/spool/cwl
        --env-file=/work/variables
        3570bf9edecd
        cat
        /var/lib/cwl/in/0/in.txt
        ---
        HOME=/var/spool/cwl
        TMPDIR=/tmp
        LC_ALL=C
        "##);
    }

    #[test]
    fn devices_network_and_user_of_docker() {
        let mut invocation = invocation();
        invocation.network = Network::Host;
        invocation.nvidia = true;
        let text = print(Kind::Docker, &Container { user: None, ..container() }, &invocation);
        assert!(
            text.contains("\n--gpus=all\n") && !text.contains("--network") && !text.contains("--user"),
            "{text}"
        );
    }

    #[test]
    fn a_limit_that_docker_refuses_is_raised_to_its_least() {
        let text = print(Kind::Docker, &Container { memory_mib: Some(1), ..container() }, &invocation());
        assert!(text.contains("\n--memory=6m\n"), "{text}");
    }

    #[test]
    fn files_are_given_away() {
        let directories = ["/work/out", "/work/a,b"].map(Path::new);
        let words = give(&engine(Kind::Docker), "3570bf9edecd", "moil-7", &directories, (1000, 100)).unwrap();
        let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        insta::assert_snapshot!(words.join("\n"), @r#"
        run
        --rm
        --pull=never
        --log-driver=none
        --network=none
        --user=0:0
        --entrypoint=chown
        --name=moil-7
        --label=moil.run=host.7
        --mount=type=bind,source=/work/out,target=/moil/0
        --mount=type=bind,"source=/work/a,b",target=/moil/1
        3570bf9edecd
        -R
        -h
        1000:100
        /moil/0
        /moil/1
        "#);
    }

    #[test]
    fn variables_are_on_the_command_line_only_where_a_file_cannot_hold_them() {
        let mut changed = invocation();
        changed.environment = vec![
            ("SECRET".into(), " with = \"quotes\" # and spaces ".into()),
            ("LINES".into(), "one\ntwo".into()),
            ("LD_PRELOAD".into(), "/evil.so".into()),
        ];
        let command = command_line(&engine(Kind::Docker), &container(), &changed).unwrap();
        assert_eq!(
            command.variables,
            "HOME=/var/spool/cwl\nSECRET= with = \"quotes\" # and spaces \nLD_PRELOAD=/evil.so\n"
        );
        let words: Vec<_> =
            command.line.argv.iter().filter(|word| word.to_string_lossy().contains("--env=")).collect();
        assert_eq!(words, ["--env=LINES=one\ntwo"]);
    }

    #[test]
    fn what_cannot_be_expressed_is_refused() {
        let variable = |name: &str| refusal(|changed| changed.environment = vec![(name.into(), "x".into())]);
        for name in ["", "#A", "A B", "A=B", "A\n"] {
            assert_eq!(variable(name), format!("Docker does not let a tool's variable be called {name:?}"));
        }
        assert_eq!(refusal(|changed| changed.command.clear()), "there is no command to run in the container");
        assert_eq!(
            refusal(|changed| changed.network = Network::Named("-x".into())),
            "\"-x\" cannot be the name of a network"
        );
        assert_eq!(
            refusal(|changed| changed.output.source = "out".into()),
            "\"out\" is not an absolute path"
        );
    }
}
