//! The part of an `aws:` store that lies in SimpleDB: the domain `NAME--jobs` with its records, and in the domain
//! `toil-registry` an item that says that the store is there. Toil 4 to 9.0 used the same names.

use std::sync::Arc;

use crate::records::Records;
use crate::records::simpledb::SimpleDbRecords;
use crate::s3::{Bucket, Error, S3};
use crate::simpledb::SimpleDb;

/// The domain that has an item for each store.
const REGISTRY: &str = "toil-registry";

/// The attribute of that item: `True`, or `False` while the store is made or removed.
const EXISTS: &str = "exists";

/// The regions in which AWS has SimpleDB.
const REGIONS: [&str; 8] = [
    "us-east-1",
    "us-west-1",
    "us-west-2",
    "eu-west-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-northeast-1",
    "sa-east-1",
];

/// What a store has in SimpleDB, whether it is there or not. Nothing is asked before it is used.
#[derive(Clone)]
pub(super) struct Domain {
    s3: S3,
    endpoint: Option<String>,
    region: String,
    store: String,
}

impl Domain {
    pub(super) fn new(s3: S3, endpoint: Option<&str>, region: &str, store: &str) -> Self {
        Self { s3, endpoint: endpoint.map(str::to_owned), region: region.to_owned(), store: store.to_owned() }
    }

    fn name(&self) -> String {
        format!("{}--jobs", self.store)
    }

    fn client(&self) -> Result<SimpleDb, Error> {
        SimpleDb::new(self.s3.clone(), self.endpoint.as_deref())
    }

    /// Whether there can be one.
    ///
    /// # Errors
    /// The region has none; says where one is.
    pub(super) fn check_region(&self) -> Result<(), String> {
        if self.endpoint.is_some() || REGIONS.contains(&self.region.as_str()) {
            return Ok(());
        }
        let regions = REGIONS.join(", ");
        Err(format!(
            "AWS has none in {}; it is in {regions}: choose one of these, or leave --awsRecords out",
            self.region
        ))
    }

    pub(super) fn is_there(&self) -> Result<bool, Error> {
        self.client()?.has_domain(&self.name())
    }

    /// The records; `prefix` begins the names of items, and the keys in the bucket of what is too large for them.
    pub(super) fn records(&self, bucket: &Bucket, prefix: &str) -> Result<Arc<dyn Records>, Error> {
        Ok(Arc::new(SimpleDbRecords::new(self.client()?, &self.name(), bucket.clone(), prefix)))
    }

    /// Makes the domain; one that is there stays.
    pub(super) fn make(&self) -> Result<(), Error> {
        let client = self.client()?;
        client.create_domain(REGISTRY)?;
        self.register(&client, "False")?;
        client.create_domain(&self.name())?;
        // A new domain is not there at once.
        for wait in self.s3.settings().patience.waits() {
            if client.has_domain(&self.name())? {
                break;
            }
            std::thread::sleep(wait);
        }
        self.register(&client, "True")
    }

    /// Removes the domain with all that is in it.
    pub(super) fn remove(&self) -> Result<(), Error> {
        let client = self.client()?;
        // Who removed the registry does not keep us from removing the store.
        client.create_domain(REGISTRY)?;
        self.register(&client, "False")?;
        client.delete_domain(&self.name())?;
        client.delete(REGISTRY, std::slice::from_ref(&self.store))
    }

    fn register(&self, client: &SimpleDb, exists: &str) -> Result<(), Error> {
        client.put(REGISTRY, &self.store, &[(EXISTS.to_owned(), exists.to_owned())], None)
    }
}
