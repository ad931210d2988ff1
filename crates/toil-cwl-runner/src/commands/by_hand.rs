//! The files with which a job is run by hand: `run.sh` and `README.txt`, beside what is put in place for it.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use moil_job::spec::Attempt;
use moil_worker::run::ByHand;

/// Writes both into a directory.
///
/// # Errors
/// The system's.
pub(super) fn write(directory: &Path, attempt: &Attempt, by_hand: &ByHand) -> io::Result<()> {
    let script = directory.join("run.sh");
    fs::write(&script, run_sh(attempt, by_hand))?;
    // There may be variables in it that are nobody else's business.
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700))?;
    let has_variables = directory.join("variables").exists();
    fs::write(directory.join("README.txt"), readme(attempt, by_hand, has_variables))
}

/// The script.
fn run_sh(attempt: &Attempt, by_hand: &ByHand) -> Vec<u8> {
    let mut script = b"#!/bin/sh\n".to_vec();
    let line = |text: &str| text.replace(['\n', '\r'], " ");
    script.extend(format!("# {} ({}).\n", line(&attempt.job.name), line(&attempt.job.id.0)).bytes());
    script.extend(b"cd ");
    script.extend(quoted(by_hand.cwd.as_os_str()));
    script.extend(b" || exit\n");
    if let (true, Some(stdin)) = (by_hand.through_pipe, &by_hand.stdin) {
        script.extend(b"cat ");
        script.extend(quoted(stdin.as_os_str()));
        script.extend(b" |\n");
    }
    script.extend(if by_hand.is_whole_environment { &b"env -i"[..] } else { &b"env"[..] });
    for (name, value) in &by_hand.environment {
        script.extend(b" \\\n  ");
        let assignment = [name.as_bytes(), value.as_bytes()].join(&b'=');
        script.extend(quoted(OsStr::from_bytes(&assignment)));
    }
    for word in &by_hand.argv {
        script.extend(b" \\\n  ");
        script.extend(quoted(word));
    }
    let stdin = by_hand.stdin.as_ref().filter(|_| !by_hand.through_pipe);
    for (sign, path) in [("<", stdin), (">", by_hand.stdout.as_ref()), ("2>", by_hand.stderr.as_ref())] {
        let Some(path) = path else { continue };
        script.extend(format!(" \\\n  {sign} ").bytes());
        script.extend(quoted(path.as_os_str()));
    }
    script.push(b'\n');
    script
}

/// A word for a shell, whatever bytes it is of.
fn quoted(word: &OsStr) -> Vec<u8> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_@%+:,./-".contains(byte);
    let bytes = word.as_bytes();
    if !bytes.is_empty() && bytes.iter().all(is_plain) {
        return bytes.to_vec();
    }
    let mut quoted = vec![b'\''];
    for byte in bytes {
        match byte {
            b'\'' => quoted.extend(b"'\\''"),
            byte => quoted.push(*byte),
        }
    }
    quoted.push(b'\'');
    quoted
}

/// What is what.
fn readme(attempt: &Attempt, by_hand: &ByHand, has_variables: bool) -> String {
    let mut text = format!(
        "Job {} of the step at {}, attempt {}, to be run by hand:\n\n    sh run.sh\n\n",
        attempt.job.name, attempt.job.id, attempt.id.number
    );
    let tool = if by_hand.in_container { "the command of the container engine" } else { "the tool" };
    text.push_str(&format!(
        "run.sh  starts {tool} with the job's words, variables and streams{}\n",
        if by_hand.is_whole_environment { ", and no other variables" } else { "" }
    ));
    if has_variables {
        text.push_str("variables  the tool's variables, which the engine reads\n");
    }
    text.push_str("in      copies of its inputs\n");
    text.push_str("out     its working directory, where its outputs will be\n");
    text.push_str("tmp     its TMPDIR\n\n");
    text.push_str(
        "Output and messages that are no output file go to the terminal. Paths are absolute: the directory\n\
         cannot be moved. What the tool has changed stays as it is for the next time.\n",
    );
    if let Some(limit) = by_hand.limit {
        text.push_str(&format!("\nThe job might take {} s; run.sh sets no limit.\n", limit.as_secs_f64()));
    }
    let granted = attempt.granted;
    text.push_str(&format!(
        "\nThe job was granted {} cores and {} MiB of memory.\n",
        granted.cores, granted.ram_mib
    ));
    if !attempt.secrets.is_empty() {
        text.push_str(
            "\nSecrets are not kept in the job store. Where (secret-...) stands, in run.sh or in files, write the value.\n",
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_word_is_one_word_for_a_shell() {
        for word in [&b"plain"[..], b"", b"a b", b"it's \"$x\" `y` \\ *", b"two\nlines", b"a=b", b"\xff\xfe"]
        {
            let mut line = b"printf %s ".to_vec();
            line.extend(quoted(OsStr::from_bytes(word)));
            let output =
                std::process::Command::new("/bin/sh").arg("-c").arg(OsStr::from_bytes(&line)).output();
            assert_eq!(output.expect("it runs").stdout, word);
        }
    }
}
