//! What a job asks for and gets.

use serde::{Deserialize, Serialize};

/// Resources of a job, in the units of ResourceRequirement.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resources {
    /// CPU cores; a fraction is allowed.
    pub cores: f64,
    /// Memory in MiB.
    pub ram_mib: u64,
    /// Scratch space for `$TMPDIR` in MiB.
    pub tmpdir_mib: u64,
    /// Space for the output directory in MiB.
    pub outdir_mib: u64,
    /// GPUs.
    pub gpus: u32,
}

impl Resources {
    /// Disk space in all, in MiB.
    pub fn disk_mib(&self) -> u64 {
        self.tmpdir_mib.saturating_add(self.outdir_mib)
    }
}
