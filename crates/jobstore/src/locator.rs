//! Where a job store is: what stands behind `--jobStore`.

use std::fmt;
use std::path::{Component, Path, PathBuf};

/// A place for a job store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Locator {
    /// A directory: `file:PATH`, or a path.
    File(PathBuf),
    /// A bucket of its own: `aws:REGION:NAME`.
    Aws {
        /// The region of AWS.
        region: String,
        /// The store's name.
        name: String,
    },
    /// A place in a bucket that is there: `s3://BUCKET/PREFIX`.
    S3 {
        /// The bucket.
        bucket: String,
        /// What the names of its objects begin with; without a `/` at its ends; may be empty.
        prefix: String,
    },
}

/// Where the records of a store lie. Its files always lie in the bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecordsIn {
    /// In the bucket.
    #[default]
    S3,
    /// In SimpleDB, as those of Toil 4 to 9.0: for `aws:` stores only.
    SimpleDb,
}

/// What is wrong with a locator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{locator:?} is no job store: {reason}")]
pub struct LocatorError {
    /// The locator.
    pub locator: String,
    /// What is wrong, and what is right.
    pub reason: String,
}

/// What comes before the first `:` of the locators that there are.
const KINDS: &str = "a path, file:PATH, aws:REGION:NAME or s3://BUCKET/PREFIX";

impl Locator {
    /// Reads a locator. A relative path is taken from `cwd`.
    ///
    /// # Errors
    /// It is of no known kind, or against the rules of its kind.
    pub fn parse(locator: &str, cwd: &Path) -> Result<Self, LocatorError> {
        let wrong = |reason: String| LocatorError { locator: locator.to_owned(), reason };
        // As Toil: what begins like a path is one, whatever comes later.
        let (kind, rest) = match locator.split_once(':') {
            Some(parts) if !locator.starts_with(['/', '.']) => parts,
            _ => ("file", locator),
        };
        match kind {
            "file" if rest.is_empty() => Err(wrong("the path is missing".to_owned())),
            "file" => Ok(Self::File(absolute(rest, cwd))),
            "aws" => {
                let (region, name) =
                    rest.split_once(':').ok_or_else(|| wrong("it is written aws:REGION:NAME".to_owned()))?;
                check_region(region).and_then(|()| check_name(name)).map_err(wrong)?;
                Ok(Self::Aws { region: region.to_owned(), name: name.to_owned() })
            }
            "s3" => {
                let rest = rest
                    .strip_prefix("//")
                    .ok_or_else(|| wrong("it is written s3://BUCKET/PREFIX".to_owned()))?;
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                check_bucket(bucket).map_err(wrong)?;
                let prefix = prefix.trim_matches('/').to_owned();
                Ok(Self::S3 { bucket: bucket.to_owned(), prefix })
            }
            "google" => Err(wrong(format!("job stores of Google are not supported; there are {KINDS}"))),
            _ => Err(wrong(format!("there are {KINDS}"))),
        }
    }

    /// The bucket of `aws:REGION:NAME`, as Toil calls it since 9.1.
    pub fn bucket(name: &str) -> String {
        format!("{name}--toil")
    }
}

impl fmt::Display for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Aws { region, name } => write!(f, "aws:{region}:{name}"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

/// An absolute path without `.`, `..` and repeated slashes, as Toil makes it: the store keeps its name when the
/// directory of the caller is another.
fn absolute(path: &str, cwd: &Path) -> PathBuf {
    let mut absolute = PathBuf::from("/");
    for component in cwd.join(path).components() {
        match component {
            Component::Normal(name) => absolute.push(name),
            Component::ParentDir => drop(absolute.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    absolute
}

fn check_region(region: &str) -> Result<(), String> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    match region.contains('-') && region.bytes().all(is_plain) {
        true => Ok(()),
        false => Err(format!("{region:?} is no region, such as us-west-2")),
    }
}

/// The rules of Toil 9.1 and later.
fn check_name(name: &str) -> Result<(), String> {
    let is_edge =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let bytes = name.as_bytes();
    if !(3..=56).contains(&bytes.len()) {
        return Err(format!("its name must have 3 to 56 characters, and has {}", bytes.len()));
    }
    if !bytes.iter().all(|byte| is_edge(Some(byte)) || *byte == b'-') {
        return Err("its name may have lower-case letters, digits and hyphens only".to_owned());
    }
    if !is_edge(bytes.first()) || !is_edge(bytes.last()) {
        return Err("its name must begin and end with a letter or digit".to_owned());
    }
    if name.contains("--") {
        return Err("its name must not have two hyphens side by side".to_owned());
    }
    Ok(())
}

/// The rules of S3.
fn check_bucket(bucket: &str) -> Result<(), String> {
    let is_edge = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = bucket.as_bytes();
    let is_good = (3..=63).contains(&bytes.len())
        && bytes.iter().all(|byte| is_edge(byte) || b"-.".contains(byte))
        && bytes.first().is_some_and(is_edge)
        && bytes.last().is_some_and(is_edge);
    if is_good {
        return Ok(());
    }
    Err(format!("{bucket:?} is no bucket: 3 to 63 lower-case letters, digits, hyphens and dots"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locators_are_read_as_toil_reads_them() {
        let cwd = Path::new("/data/x");
        let longest = "a".repeat(56);
        let cases = [
            ("store", "file:/data/x/store"),
            ("./a/../store/", "file:/data/x/store"),
            ("../store", "file:/data/store"),
            ("/data//store", "file:/data/store"),
            ("/data/a:b", "file:/data/a:b"),
            ("./aws:a:b", "file:/data/x/aws:a:b"),
            ("file:store", "file:/data/x/store"),
            ("file:/data/store", "file:/data/store"),
            ("file:///data/store", "file:/data/store"),
            ("aws:us-west-2:my-store", "aws:us-west-2:my-store"),
            ("aws:eu-central-1:abc", "aws:eu-central-1:abc"),
            (&format!("aws:us-west-2:{longest}"), &format!("aws:us-west-2:{longest}")),
            ("s3://bucket/some/prefix/", "s3://bucket/some/prefix"),
            ("s3://my.bucket", "s3://my.bucket/"),
        ];
        for (text, canonical) in cases {
            let locator = Locator::parse(text, cwd).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(locator.to_string(), canonical);
            assert_eq!(Locator::parse(&locator.to_string(), Path::new("/elsewhere")), Ok(locator));
        }
        assert_eq!(Locator::bucket("my-store"), "my-store--toil");
    }

    #[test]
    fn what_is_against_the_rules_is_told() {
        let long = format!("aws:us-west-2:{}", "a".repeat(57));
        let cases = [
            ("file:", "the path is missing"),
            ("google:p:x", "job stores of Google are not supported"),
            ("what:x", "there are a path, file:PATH"),
            ("aws:us-west-2", "it is written aws:REGION:NAME"),
            ("aws::abc", "is no region"),
            ("aws:here:abc", "is no region"),
            ("aws:us-west-2:ab", "3 to 56 characters, and has 2"),
            (&long, "3 to 56 characters, and has 57"),
            ("aws:us-west-2:Abc", "lower-case letters, digits and hyphens"),
            ("aws:us-west-2:a_c", "lower-case letters, digits and hyphens"),
            ("aws:us-west-2:a:b", "lower-case letters, digits and hyphens"),
            ("aws:us-west-2:-abc", "begin and end with"),
            ("aws:us-west-2:abc-", "begin and end with"),
            ("aws:us-west-2:a--c", "two hyphens"),
            ("s3:bucket", "it is written s3://BUCKET/PREFIX"),
            ("s3://", "is no bucket"),
            ("s3://Bucket/x", "is no bucket"),
        ];
        for (text, words) in cases {
            let error = Locator::parse(text, Path::new("/")).expect_err(text).to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
