use super::*;

fn definition(text: &str) -> String {
    Dockerfile::parse(text).unwrap().definition(None)
}

#[test]
fn a_dockerfile_becomes_a_definition_file() {
    let text = r#"# syntax=docker/dockerfile:1
ARG VERSION=12 FLAVOUR
FROM debian:${VERSION}${FLAVOUR:--slim} AS base
LABEL org.name="a tool" version=1
ARG WHO="it's me"
ARG VERSION
ENV PATH=/opt/bin:$PATH GREETING="hello \"you\" $WHO"
ENV OLD one  two
RUN apt-get update && \
    # a comment between
    apt-get install -y 'x'
RUN ["printf", "%s\n%", "{{x}}"]
WORKDIR /opt/data
RUN pwd
CMD ["ignored"]
entrypoint ["tool", "a b"]
"#;
    let expected = r#"Bootstrap: docker
From: debian:12-slim

%post
cd /
export WHO='it'\''s me'
export VERSION='12'
export PATH='/opt/bin:'"${PATH}"
export GREETING='hello "you" ''it'\''s me'
export OLD='one  two'
/bin/sh -c 'apt-get update &&     apt-get install -y '\''x'\''' || exit
'printf' '%s
''%' '{''{x}''}' || exit
mkdir -p '/opt/data'
cd '/opt/data'
/bin/sh -c 'pwd' || exit

%environment
export PATH='/opt/bin:'"${PATH}"
export GREETING='hello "you" ''it'\''s me'
export OLD='one  two'

%labels
org.name a tool
version 1

%runscript
exec 'tool' 'a b' "$@"
"#;
    assert_eq!(definition(text), expected);
}

#[test]
fn a_mirror_of_docker_hub_is_asked_for_the_first_image() {
    let hub = HubMirror::parse("http://mirror:5000").unwrap();
    let dockerfile = Dockerfile::parse("FROM debian").unwrap();
    assert!(dockerfile.definition(Some(&hub)).contains("\nFrom: mirror:5000/library/debian\n"));
    assert_eq!(dockerfile.from.as_str(), "debian");
}

#[test]
fn what_cannot_be_built_is_refused_with_its_line() {
    for (text, expected) in [
        ("", "line 1 of the Dockerfile: there is no FROM"),
        ("RUN x", "line 1 of the Dockerfile: RUN stands before FROM"),
        (
            "FROM a\n\nCOPY x /",
            "line 3 of the Dockerfile: COPY needs files beside the Dockerfile, and CWL has no place for them",
        ),
        ("FROM a\nFROM b", "line 2 of the Dockerfile: a second stage (FROM) is not supported without Docker"),
        ("FROM scratch", "line 1 of the Dockerfile: FROM scratch is not supported without Docker"),
        (
            "FROM a\nRUN --mount=type=cache,target=/x y",
            "line 2 of the Dockerfile: RUN --mount=type=cache,target=/x is not supported without Docker",
        ),
        (
            "FROM a\nRUN <<EOF\nx\nEOF",
            "line 2 of the Dockerfile: a here-document is not supported without Docker",
        ),
        (
            "FROM a\nUSER me\nRUN x",
            "line 3 of the Dockerfile: RUN as another user than root is not supported without Docker",
        ),
        ("FROM a\nRUNN x", "line 2 of the Dockerfile: the instruction RUNN is not known"),
        ("FROM a\nENV 1X=2", "line 2 of the Dockerfile: \"1X\" is no name of a variable"),
        ("FROM a\nENV X=\"2", "line 2 of the Dockerfile: a quotation mark is not closed"),
        (
            "FROM a\nENTRYPOINT [\"x\",]",
            "line 2 of the Dockerfile: [\"x\",] is no list of words in double quotation marks",
        ),
        ("FROM --help", "line 1 of the Dockerfile: FROM --help is not supported without Docker"),
        (
            "# escape=`\nFROM a",
            "line 1 of the Dockerfile: the directive escape=` is not supported without Docker",
        ),
    ] {
        assert_eq!(Dockerfile::parse(text).unwrap_err().to_string(), expected, "{text}");
    }
}

#[test]
fn an_arithmetic_shift_is_no_here_document() {
    assert!(definition("FROM a\nRUN echo $((1 << 2)) $((1<<2))").contains("$((1<<2))"));
}
