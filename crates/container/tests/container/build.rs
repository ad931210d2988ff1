//! Images that are made here.

use std::fs;
use std::path::Path;
use std::process::Command;

use moil_container::build;
use moil_container::dockerfile::Dockerfile;
use moil_container::error::ImageError;
use moil_container::store::{Image, Source};

use crate::fixture::{Listener, Place, engine, has_engine, name, with_image};

/// Gets an image that is to be made of this.
fn make(place: &Place, source: &Source) -> Result<Image, ImageError> {
    let made = place.store().get(&build::name("test", &[]).unwrap(), source, false, &Listener::default());
    place.assert_tidy();
    made
}

/// What a command says in an image.
fn say(place: &Place, image: &Path, words: &[&str]) -> String {
    let output = Command::new(engine().program)
        .args(["--quiet", "run", "--userns", "--contain", "--cleanenv", "--no-eval"])
        .arg(image)
        .args(words)
        .env_clear()
        .envs(place.environment())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_dockerfile_is_built() {
    if !has_engine() {
        return;
    }
    let (place, registry, image) = with_image();
    let text = format!(
        "ARG TAG=1\nFROM {}:$TAG\nARG WHO='the world'\nENV PATH=$PATH:/opt/bin GREETING=\"hello $WHO\"\n\
         WORKDIR /opt/bin\nRUN echo 'echo \"$GREETING\" \"$@\"' > greet && \\\n  chmod +x greet\n\
         ENTRYPOINT [\"sh\", \"/opt/bin/greet\"]\n",
        image.strip_suffix(":1").unwrap()
    );
    let source = Source::Dockerfile(Dockerfile::parse(&text).unwrap());
    let made = make(&place, &source).unwrap();
    assert_eq!(say(&place, &made.path, &["$HOME", "a  b"]), "hello the world $HOME a  b\n");
    // It is there now.
    let requests = registry.requests();
    assert_eq!(make(&place, &source).unwrap().path, made.path);
    assert_eq!(registry.requests(), requests);
}

#[test]
fn a_dockerfile_that_fails_leaves_nothing_and_says_why() {
    if !has_engine() {
        return;
    }
    let (place, _registry, image) = with_image();
    let dockerfile = |text: String| Source::Dockerfile(Dockerfile::parse(&text).unwrap());
    let error = make(&place, &dockerfile(format!("FROM {image}\nRUN false\nRUN true\n"))).unwrap_err();
    assert!(error.to_string().contains("while running %post section"), "{error}");
    let error = make(&place, &dockerfile(format!("FROM {image}.not\n"))).unwrap_err();
    assert!(
        matches!(&error, ImageError::NotFound { image: asked, .. } if asked.ends_with(".not")),
        "{error}"
    );
}

#[test]
fn an_archive_of_a_root_file_system_becomes_an_image() {
    if !has_engine() {
        return;
    }
    let place = Place::new("127.0.0.1:1");
    let root = place.path("exported");
    for folder in ["bin", "etc", "dev", "tmp"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    fs::copy(which::which("busybox").unwrap(), root.join("bin/busybox")).unwrap();
    for applet in ["sh", "echo"] {
        std::os::unix::fs::symlink("/bin/busybox", root.join("bin").join(applet)).unwrap();
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\n").unwrap();
    let archive = place.path("a root.tar.gz");
    let packed = Command::new("tar").arg("-C").arg(&root).arg("-czf").arg(&archive).arg(".").status();
    assert!(packed.unwrap().success());
    let made = make(&place, &Source::RootArchive(archive)).unwrap();
    assert_eq!(say(&place, &made.path, &["echo", "a b", "$HOME"]), "a b $HOME\n");

    let get = |source: Source| {
        place.store().get(&name("other"), &source, false, &Listener::default()).unwrap_err().to_string()
    };
    let empty = place.path("empty.tar");
    fs::write(&empty, [0; 10240]).unwrap();
    assert!(get(Source::RootArchive(empty)).contains("no file system with a shell"));
    let broken = place.path("broken.tar");
    fs::write(&broken, "x").unwrap();
    assert!(get(Source::RootArchive(broken)).contains("broken.tar could not be unpacked: tar: "));
    assert!(get(Source::RootArchive(place.path("nowhere.tar"))).contains("the system refuses: No such file"));
    place.assert_tidy();
}
