//! What a worker finds in the job store, and what it makes of this machine before it begins.

use std::path::PathBuf;
use std::sync::Arc;

use moil_job::contents::Contents;
use moil_job::failure::{Failure, FailureKind};
use moil_jobstore::names::Term;
use moil_jobstore::place::ForWorker;
use moil_jobstore::records::Records;
use moil_jobstore::remote::Remote;
use moil_jobstore::results::Results;
use moil_worker::config::WorkerConfig;
use moil_worker::downloads::Downloads;
use moil_worker::spawner::Spawner;

use super::super::store;
use crate::job_store::{self, place_failure};
use crate::log::Log;
use crate::settings::Settings;
use crate::work_directory::WorkDirectory;
use crate::worker_form::WorkerForm;
use crate::{assemble, aws, input_cache, mpi_config, tls};

/// The job store of a run, and how workers of a term of its leaders work.
pub(super) struct Station {
    pub settings: Settings,
    pub records: Arc<dyn Records>,
    pub results: Results,
    contents: Arc<dyn Contents>,
    remote: Remote,
    /// A place in the job store to work in, if no other one was asked for.
    place: Option<PathBuf>,
    mpi: Option<(String, String)>,
}

/// What runs attempts.
pub(super) struct Bench {
    pub config: WorkerConfig,
    spawner: Spawner,
    work: WorkDirectory,
}

impl Station {
    /// Finds the run in the job store of the settings; `run`, where it is known, is not looked for.
    pub fn find(settings: Settings, run: Option<&str>, term: &Term) -> Result<Self, Failure> {
        let buckets = aws::buckets(&settings)?;
        let place = job_store::place(&settings, &buckets)?.ok_or_else(|| store::missing(&settings))?;
        let ForWorker { records, contents, directory, .. } =
            place.for_worker(run, term).map_err(|error| place_failure(&error))?;
        let certificates = tls::certificate_files(&settings.environment, &settings.cwd);
        let remote = buckets.for_remote(Remote::new(certificates));
        Ok(Self {
            settings,
            results: Results::new(Arc::clone(&records)),
            records,
            contents,
            remote,
            place: directory.map(|directory| directory.join("work").join(term.to_string())),
            mpi: None,
        })
    }

    /// The same, with what its leader was told. `failed` says what cannot be done without it.
    pub fn told(
        mut self,
        form: Option<Vec<u8>>,
        failed: &dyn Fn(String) -> Failure,
    ) -> Result<Self, Failure> {
        let form =
            form.ok_or_else(|| failed("its leader has left no settings in the job store".to_owned()))?;
        self.mpi = WorkerForm::read(&form)?.apply(&mut self.settings);
        Ok(self)
    }

    /// Whether the job store is a directory.
    pub fn is_in_directory(&self) -> bool {
        self.place.is_some()
    }

    /// Makes what runs attempts. What they leave and fetch may stay for later ones, up to `room` bytes.
    pub fn bench(self, spawner: Option<Spawner>, room: u64, log: &Log) -> Result<(Bench, Settings), Failure> {
        let Self { settings, contents, remote, place, mpi, .. } = self;
        let spawner = spawner.map_or_else(Spawner::start, Ok).map_err(|error| {
            Failure::new(FailureKind::System, "cannot start the process that starts tools").with_cause(error)
        })?;
        let work = WorkDirectory::make(&settings, place)?;
        let mut config = assemble::worker_config(&settings, &work.path, &Arc::new(remote), spawner.clone())?;
        if let Some((name, text)) = mpi {
            config.mpi = mpi_config::parse(&name, text, &settings.environment)?;
        }
        config.containers = crate::containers::finder(&settings, log);
        config.download =
            config.download.map(|download| input_cache::around(download, &settings, &*contents, log));
        config.contents = Some(contents);
        config.downloads = Arc::new(Downloads::with_room(room));
        Ok((Bench { config, spawner, work }, settings))
    }
}

impl Bench {
    /// Ends all that is left of tools, and tidies up.
    pub fn close(self, settings: &Settings, all_is_well: bool) {
        self.spawner.shut_down();
        self.work.clean(settings, all_is_well);
    }
}
