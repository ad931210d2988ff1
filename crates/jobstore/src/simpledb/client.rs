//! The operations that records need.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ureq::Agent;
use ureq::http::Uri;

use crate::s3::{Error, Kind, S3};

use super::answer::{Answer, read};
use super::signature::sign;

/// How long a server may take to answer.
const SILENCE: Duration = Duration::from_secs(60);

/// The largest answer, in bytes; the service's pages have 1 MB.
const LARGEST_ANSWER: u64 = 16 << 20;

/// How many items one batch has.
pub(crate) const BATCH: usize = 25;

/// The condition of a write.
#[derive(Clone, Copy, Debug)]
pub enum Expected<'a> {
    /// The item has no such attribute.
    Absent(&'a str),
    /// The item's attribute has this value, and no other.
    Value(&'a str, &'a str),
}

/// A client of the SimpleDB of one region. Credentials, patience and certificates are those of its S3.
#[derive(Clone)]
pub struct SimpleDb {
    s3: S3,
    endpoint: String,
    agent: Agent,
}

impl SimpleDb {
    /// A client of the server with this URL; `None`: the service's own of the region.
    ///
    /// # Errors
    /// A certificate cannot be read.
    pub fn new(s3: S3, endpoint: Option<&str>) -> Result<Self, Error> {
        let region = s3.settings().region.as_deref().unwrap_or("us-east-1");
        let own = match region {
            "us-east-1" => "https://sdb.amazonaws.com".to_owned(),
            region => format!("https://sdb.{region}.amazonaws.com"),
        };
        let endpoint = endpoint.map_or(own, |url| url.trim_end_matches('/').to_owned());
        let mut config = Agent::config_builder()
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_recv_response(Some(SILENCE))
            .timeout_recv_body(Some(SILENCE))
            .http_status_as_error(false)
            .user_agent("moil");
        if let Some(tls) = crate::remote::http::tls(&s3.settings().certificates)
            .map_err(|reason| Error::new("cannot use", endpoint.clone(), Kind::Local, reason))?
        {
            config = config.tls_config(tls);
        }
        Ok(Self { s3, endpoint, agent: config.build().into() })
    }

    /// Makes a domain; one that is there already stays. New domains take seconds.
    ///
    /// # Errors
    /// Those of a request.
    pub fn create_domain(&self, domain: &str) -> Result<(), Error> {
        self.ask("make the domain", domain, "CreateDomain", Vec::new()).map(drop)
    }

    /// Removes a domain and all that is in it; one that is not there does not matter.
    ///
    /// # Errors
    /// Those of a request.
    pub fn delete_domain(&self, domain: &str) -> Result<(), Error> {
        self.ask("remove the domain", domain, "DeleteDomain", Vec::new()).map(drop)
    }

    /// Whether there is such a domain.
    ///
    /// # Errors
    /// Those of a request.
    pub fn has_domain(&self, domain: &str) -> Result<bool, Error> {
        match self.ask("look at the domain", domain, "DomainMetadata", Vec::new()) {
            Ok(_) => Ok(true),
            Err(error) if error.kind == Kind::NoBucket => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sets attributes of an item, in place of their former values.
    ///
    /// # Errors
    /// Those of a request; [`Kind::Precondition`] if the condition does not hold.
    pub fn put(
        &self,
        domain: &str,
        item: &str,
        attributes: &[(String, String)],
        expected: Option<Expected<'_>>,
    ) -> Result<(), Error> {
        let mut parameters = vec![("ItemName".to_owned(), item.to_owned())];
        for (at, (name, value)) in attributes.iter().enumerate() {
            let prefix = format!("Attribute.{}", at + 1);
            parameters.push((format!("{prefix}.Name"), name.clone()));
            parameters.push((format!("{prefix}.Value"), value.clone()));
            parameters.push((format!("{prefix}.Replace"), "true".to_owned()));
        }
        // With the number: the developer guide's spelling, which the clients of others use as well.
        let condition = match expected {
            None => None,
            Some(Expected::Absent(name)) => Some((name, ("Expected.1.Exists", "false"))),
            Some(Expected::Value(name, value)) => Some((name, ("Expected.1.Value", value))),
        };
        if let Some((name, (key, value))) = condition {
            parameters.push(("Expected.1.Name".to_owned(), name.to_owned()));
            parameters.push((key.to_owned(), value.to_owned()));
        }
        self.ask("write", domain, "PutAttributes", parameters).map(drop)
    }

    /// All attributes of an item, as they are now; none if there is no such item.
    ///
    /// # Errors
    /// Those of a request.
    pub fn get(&self, domain: &str, item: &str) -> Result<Vec<(String, String)>, Error> {
        let parameters =
            vec![("ItemName".to_owned(), item.to_owned()), ("ConsistentRead".to_owned(), "true".to_owned())];
        Ok(self.ask("read", domain, "GetAttributes", parameters)?.attributes)
    }

    /// The names of all items that begin with `prefix` and come after `after`, in byte order, as they are now.
    ///
    /// # Errors
    /// Those of a request.
    pub fn names(&self, domain: &str, prefix: &str, after: Option<&str>) -> Result<Vec<String>, Error> {
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
        let mut tests = vec![format!("itemName() > {}", quoted(after.unwrap_or_default()))];
        if !prefix.is_empty() {
            tests.push(format!("itemName() like {}", quoted(&format!("{prefix}%"))));
        }
        let query = format!(
            "select itemName() from `{domain}` where {} order by itemName() asc limit 2500",
            tests.join(" and ")
        );
        let mut names = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let mut parameters = vec![
                ("SelectExpression".to_owned(), query.clone()),
                ("ConsistentRead".to_owned(), "true".to_owned()),
            ];
            parameters.extend(next.take().map(|token| ("NextToken".to_owned(), token)));
            let answer = self.ask("list", domain, "Select", parameters)?;
            names.extend(answer.items);
            next = answer.next;
            if next.is_none() {
                return Ok(names);
            }
        }
    }

    /// Deletes items, 25 with a request; those that are not there do not matter.
    ///
    /// # Errors
    /// Those of a request.
    pub fn delete(&self, domain: &str, items: &[String]) -> Result<(), Error> {
        for batch in items.chunks(BATCH) {
            let parameters = batch
                .iter()
                .enumerate()
                .map(|(at, item)| (format!("Item.{}.ItemName", at + 1), item.clone()))
                .collect();
            self.ask("delete from", domain, "BatchDeleteAttributes", parameters)?;
        }
        Ok(())
    }

    /// One request, made again as the settings say.
    fn ask(
        &self,
        action: &'static str,
        domain: &str,
        operation: &str,
        mut parameters: Vec<(String, String)>,
    ) -> Result<Answer, Error> {
        parameters.push(("Action".to_owned(), operation.to_owned()));
        if operation != "Select" {
            parameters.push(("DomainName".to_owned(), domain.to_owned()));
        }
        self.s3.settings().patience.again(|| {
            self.once(parameters.clone())
                .map_err(|(kind, reason)| Error::new(action, format!("{domain} of SimpleDB"), kind, reason))
        })
    }

    fn once(&self, mut parameters: Vec<(String, String)>) -> Result<Answer, (Kind, String)> {
        let keys = self.s3.keys().map_err(|error| (error.kind, error.reason))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let fixed = [
            ("AWSAccessKeyId", keys.access_key_id()),
            ("SignatureMethod", "HmacSHA256"),
            ("SignatureVersion", "2"),
            ("Timestamp", &timestamp(now)),
            ("Version", "2009-04-15"),
        ];
        parameters.extend(fixed.map(|(name, value)| (name.to_owned(), value.to_owned())));
        parameters.extend(keys.session_token().map(|token| ("SecurityToken".to_owned(), token.to_owned())));
        let uri: Uri = self
            .endpoint
            .parse()
            .map_err(|error| (Kind::Local, format!("{} is no address: {error}", self.endpoint)))?;
        let host = uri.authority().map(|authority| authority.as_str().to_lowercase()).unwrap_or_default();
        let body = sign(keys.secret_access_key(), &host, "/", parameters);
        let lost = |error: ureq::Error| (Kind::Unreachable, format!("no answer came: {error}"));
        let mut response = self
            .agent
            .post(format!("{}/", self.endpoint))
            .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
            .send(body)
            .map_err(lost)?;
        let status = response.status().as_u16();
        let text = response.body_mut().with_config().limit(LARGEST_ANSWER).read_to_string().map_err(lost)?;
        let answer = read(&text);
        if status == 200 {
            return answer.map_err(|reason| (Kind::Unreachable, format!("no answer came: {reason}")));
        }
        let Answer { code, message, .. } = answer.unwrap_or_default();
        let space = if code.is_empty() { "" } else { " " };
        Err((kind(status, &code), format!("SimpleDB answered {status}{space}{code} ({message})")))
    }
}

/// The kind of an answer that is an error.
fn kind(status: u16, code: &str) -> Kind {
    match (status, code) {
        (_, "NoSuchDomain") => Kind::NoBucket,
        (_, "ConditionalCheckFailed" | "AttributeDoesNotExist" | "MultiValuedAttribute") => {
            Kind::Precondition
        }
        (_, "AuthFailure" | "RequestExpired") => Kind::Credentials,
        // 409 is said of limits as well, which waiting does not change.
        (409, _) => Kind::Refused,
        _ => crate::s3::error::kind(status, code),
    }
}

/// Seconds since 1970 as the service wants to have them.
fn timestamp(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days of the civil calendar: years begin in March, so that the leap day is the last.
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_service_wants_them() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_795_827_723, "2026-11-28T01:02:03Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
        ] {
            assert_eq!(timestamp(seconds), expected);
        }
    }

    #[test]
    fn answers_are_told_apart() {
        for (status, code, expected) in [
            (409, "ConditionalCheckFailed", Kind::Precondition),
            (404, "AttributeDoesNotExist", Kind::Precondition),
            (409, "NumberDomainsExceeded", Kind::Refused),
            (400, "NoSuchDomain", Kind::NoBucket),
            (503, "ServiceUnavailable", Kind::Busy),
            (500, "InternalError", Kind::Busy),
            (403, "SignatureDoesNotMatch", Kind::Credentials),
            (400, "InvalidParameterValue", Kind::Refused),
        ] {
            assert_eq!(kind(status, code), expected, "{status} {code}");
        }
    }
}
