//! Processes of their own that ask a store for an image: this very program, started once more.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use moil_container::store::{ImageStore, Source, StoreConfig};

use crate::fixture::{Listener, config, name};

const FOLDER: &str = "MOIL_TEST_CHILD_FOLDER";
const IMAGE: &str = "MOIL_TEST_CHILD_IMAGE";
const UNPACK: &str = "MOIL_TEST_CHILD_UNPACK";
const LOCKS: &str = "MOIL_TEST_CHILD_LOCKS";

/// A process that fetches this image into the store of a place.
pub fn start(folder: &Path, image: &str) -> Child {
    command(folder, image).spawn().unwrap()
}

/// The same on a system whose file systems know no locks.
pub fn start_without_locks(folder: &Path, image: &str) -> Child {
    command(folder, image).env(LOCKS, "none").spawn().unwrap()
}

/// The same, which then unpacks it with this program.
pub fn start_unpacking(folder: &Path, image: &str, program: &Path) -> Child {
    command(folder, image).env(UNPACK, program).spawn().unwrap()
}

fn command(folder: &Path, image: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "child::as_a_child", "--nocapture"])
        .env(FOLDER, folder)
        .env(IMAGE, image)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Asserts that a process got its image.
pub fn assert_succeeded(child: Child) {
    let output = child.wait_with_output().unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{:?}: {text}", output.status.signal());
    assert!(text.contains("got "), "{text}");
}

/// What such a process does. As a test of its own it has nothing to do.
#[test]
fn as_a_child() {
    let (Some(folder), Ok(image)) = (std::env::var_os(FOLDER), std::env::var(IMAGE)) else { return };
    if std::env::var_os(LOCKS).is_some() {
        without_locks();
    }
    let unpack = std::env::var_os(UNPACK).map(Into::into);
    let store = ImageStore::new(StoreConfig { unpack, ..config(Path::new(&folder)) });
    let got = store.get(&name(&image), &Source::Registry, false, &Listener::default()).unwrap();
    println!("got {}", got.path.display());
}

/// Has the kernel answer `flock` as file systems without locks do, for this thread and all that it starts.
#[expect(unsafe_code, reason = "filters of system calls have no safe form in std")]
fn without_locks() {
    let code = |code: u32, k: u32, jf: u8| libc::sock_filter { code: code as u16, jt: 0, jf, k };
    let mut filter = [
        // The number of the call is what the data begins with.
        code(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        code(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, libc::SYS_flock as u32, 1),
        code(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | libc::ENOLCK as u32, 0),
        code(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the program and its instructions live until the calls return.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program), 0);
    }
}
