//! Whether a directory outlives the pod that a leader runs in.

use std::path::Path;

use moil_job::failure::{Failure, FailureKind};

/// What the root of a mount contains that goes with its pod.
const EMPTY_DIR: &str = "/kubernetes.io~empty-dir/";

/// Whether an output directory stays when the pod goes. `mounts` is the text of `/proc/self/mountinfo`.
///
/// # Errors
/// It goes with the pod.
pub fn check(outdir: &Path, mounts: &str) -> Result<(), Failure> {
    let mount = mounts.lines().filter_map(Mount::read).filter(|mount| outdir.starts_with(mount.place));
    // Of two in one place the later one counts.
    let Some(mount) = mount.max_by_key(|mount| mount.place.as_os_str().len()) else { return Ok(()) };
    let what = match mount.kind {
        "overlay" => "the pod's own file system",
        "tmpfs" => "memory",
        _ if mount.root.contains(EMPTY_DIR) => "an emptyDir",
        _ => return Ok(()),
    };
    let message = format!("the output directory {} goes with the leader's pod", outdir.display());
    Err(Failure::new(FailureKind::BadInput, message)
        .with_cause(format!("it lies in {what}"))
        .with_advice("send outputs to a bucket with --outdir s3://BUCKET/PREFIX, or to a volume that stays"))
}

/// A line of `mountinfo`.
struct Mount<'a> {
    root: &'a str,
    place: &'a Path,
    kind: &'a str,
}

impl<'a> Mount<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut words = mount.split(' ').skip(3);
        let (root, place) = (words.next()?, Path::new(words.next()?));
        Some(Self { root, place, kind: file_system.split(' ').next()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_with_the_pod_is_known_by_its_mount() {
        let mounts = "\
            1 0 0:5 / / rw - overlay overlay rw\n\
            2 1 0:6 / /dev/shm rw - tmpfs tmpfs rw\n\
            3 1 8:1 /var/lib/kubelet/pods/1-2/volumes/kubernetes.io~empty-dir/gone /gone rw - ext4 /dev/sda rw\n\
            4 1 8:1 /data /stays rw - ext4 /dev/sda rw\n\
            5 1 0:7 / /nfs rw - nfs4 server:/home rw\n";
        for (outdir, stays) in [
            ("/tmp/out", false),
            ("/dev/shm/x", false),
            ("/gone/out", false),
            ("/stays/out", true),
            ("/staysnot", false),
            ("/nfs/a/b", true),
        ] {
            let checked = check(Path::new(outdir), mounts);
            assert_eq!(checked.is_ok(), stays, "{outdir}: {checked:?}");
        }
        assert!(check(Path::new("/out"), "").is_ok());
    }
}
