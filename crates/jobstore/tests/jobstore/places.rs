//! The kinds of records that the suites run over. Whoever adds a kind adds a factory and a line to each test.

use std::any::Any;
use std::sync::Arc;

use moil_jobstore::records::Records;
use moil_jobstore::records::file::{Durability, FileRecords};
use moil_jobstore::records::memory::MemoryRecords;

/// One empty store, and what opens it as another process on another machine would.
pub struct Place {
    open: Box<dyn Fn() -> Arc<dyn Records>>,
    _keeps: Box<dyn Any>,
}

impl Place {
    /// A place from a function that connects to it, and what must live as long.
    pub fn new(open: impl Fn() -> Arc<dyn Records> + 'static, keeps: impl Any) -> Self {
        Self { open: Box::new(open), _keeps: Box::new(keeps) }
    }

    /// Another user of the same records.
    pub fn open(&self) -> Arc<dyn Records> {
        (self.open)()
    }
}

/// Makes empty places.
pub type Factory<'a> = &'a dyn Fn() -> Place;

/// Records in memory.
pub fn memory() -> Place {
    let all = Arc::new(MemoryRecords::default());
    Place::new(move || Arc::clone(&all) as Arc<dyn Records>, ())
}

/// Records as files that survive their writer.
pub fn file() -> Place {
    file_with(Durability::Process)
}

/// Records as files that survive a power cut.
pub fn synced_file() -> Place {
    file_with(Durability::Power)
}

fn file_with(durability: Durability) -> Place {
    let directory = tempfile::tempdir().expect("a directory");
    let root = directory.path().to_owned();
    FileRecords::create(&root, durability).expect("records");
    Place::new(move || Arc::new(FileRecords::open(&root, durability)), directory)
}

/// Records in a bucket.
#[cfg(feature = "aws")]
pub fn s3() -> Place {
    use moil_jobstore::records::s3::S3Records;
    use moil_jobstore::s3::S3;
    use std::collections::BTreeMap;

    let server = moil_testing::s3::S3Server::start();
    let client = S3::new(crate::s3::settings(&server));
    client.bucket("runs--toil").create(None, &BTreeMap::new()).expect("a bucket");
    let open =
        move || -> Arc<dyn Records> { Arc::new(S3Records::new(client.bucket("runs--toil"), "moil/run/")) };
    Place::new(open, server)
}

/// Records in a domain of SimpleDB, and a bucket for what is too large for it.
#[cfg(feature = "aws")]
pub fn simpledb() -> Place {
    use moil_jobstore::records::simpledb::SimpleDbRecords;
    use moil_jobstore::s3::S3;
    use moil_jobstore::simpledb::SimpleDb;
    use std::collections::BTreeMap;

    let (server, s3) = (moil_testing::simpledb::SimpleDbServer::start(), moil_testing::s3::S3Server::start());
    let client = S3::new(crate::s3::settings(&s3));
    client.bucket("runs--toil").create(None, &BTreeMap::new()).expect("a bucket");
    let database = SimpleDb::new(client.clone(), Some(&server.url())).expect("a client");
    database.create_domain("runs--jobs").expect("a domain");
    let open = move || -> Arc<dyn Records> {
        let bucket = client.bucket("runs--toil");
        Arc::new(SimpleDbRecords::new(database.clone(), "runs--jobs", bucket, "moil/run/"))
    };
    Place::new(open, (server, s3))
}
