//! Records in SimpleDB against servers with faults.

use std::collections::BTreeMap;
use std::time::Duration;

use moil_jobstore::records::simpledb::SimpleDbRecords;
use moil_jobstore::records::{Put, Records};
use moil_jobstore::s3::settings::Credentials;
use moil_jobstore::s3::{Kind, S3, Settings};
use moil_jobstore::simpledb::SimpleDb;
use moil_testing::hooks::{Call, Fault};
use moil_testing::s3::S3Server;
use moil_testing::simpledb::SimpleDbServer;

struct Place {
    database: SimpleDbServer,
    s3: S3Server,
    records: SimpleDbRecords,
}

fn place() -> Place {
    let (database, s3) = (SimpleDbServer::start(), S3Server::start());
    let client = S3::new(crate::s3::settings(&s3));
    client.bucket("runs--toil").create(None, &BTreeMap::new()).unwrap();
    let bucket = client.bucket("runs--toil");
    let client = SimpleDb::new(client, Some(&database.url())).unwrap();
    client.create_domain("runs--jobs").unwrap();
    database.hooks().forget_calls();
    s3.hooks().forget_calls();
    Place { records: SimpleDbRecords::new(client, "runs--jobs", bucket, "moil/run/"), database, s3 }
}

fn on(operation: &'static str) -> impl Fn(&Call) -> bool {
    move |call| call.is(operation)
}

#[test]
fn a_record_costs_one_call() {
    let place = place();
    let largest = vec![b'x'; 194_304];
    assert_eq!(place.records.put_if_absent("journal/1", &largest), Ok(Put::Stored));
    place.records.replace("heartbeat", b"x").unwrap();
    assert_eq!(place.database.hooks().count("PutAttributes"), 2);
    assert_eq!(place.records.get("journal/1").unwrap().as_ref(), Some(&largest));
    assert_eq!(place.database.hooks().calls().len(), 3);
    assert!(place.s3.hooks().calls().is_empty(), "S3 is for what is larger");
    let items = place.database.items("runs--jobs").unwrap();
    let item = &items["moil/run/journal/1"];
    assert_eq!(item.len(), 256);
    assert!(item["numChunks"].contains("253"));
}

#[test]
fn what_is_too_large_lies_in_the_bucket() {
    let place = place();
    let large = vec![b'y'; 194_305];
    assert_eq!(place.records.put_if_absent("journal/1", &large), Ok(Put::Stored));
    assert_eq!(place.records.get("journal/1").unwrap().as_ref(), Some(&large));
    assert_eq!(place.s3.objects("runs--toil").len(), 1);
    // Who comes second leaves nothing.
    assert_eq!(place.records.put_if_absent("journal/1", &vec![b'z'; 200_000]), Ok(Put::Exists));
    assert_eq!(place.s3.objects("runs--toil").len(), 1);
    assert_eq!(place.records.get("journal/1").unwrap().as_ref(), Some(&large));
    place.records.put_if_absent("journal/10", &large).unwrap();
    place.records.delete(&["journal/1".into()]).unwrap();
    assert_eq!(place.records.get("journal/1"), Ok(None));
    assert_eq!(place.records.get("journal/10").unwrap().as_ref(), Some(&large));
    assert_eq!(place.s3.objects("runs--toil").len(), 1);
}

#[test]
fn a_record_that_is_replaced_by_a_shorter_one_keeps_nothing_of_it() {
    let place = place();
    for size in [200_000, 5000, 10, 0, 3000, 194_304] {
        let bytes = vec![b'a' + (size % 26) as u8; size];
        place.records.replace("heartbeat", &bytes).unwrap();
        assert_eq!(place.records.get("heartbeat").unwrap(), Some(bytes), "{size}");
    }
}

#[test]
fn lost_answers_and_busy_servers_change_nothing() {
    for faults in [
        vec![Fault::LoseAnswer],
        vec![Fault::SERVICE_UNAVAILABLE, Fault::LoseAnswer, Fault::INTERNAL_ERROR],
        vec![Fault::CutRequest(0), Fault::CutAnswer(10)],
        vec![Fault::Delay(Duration::from_millis(20))],
    ] {
        let place = place();
        for operation in ["PutAttributes", "GetAttributes", "Select", "BatchDeleteAttributes"] {
            for (at, fault) in faults.iter().enumerate() {
                place.database.hooks().inject(at as u64..at as u64 + 1, on(operation), fault.clone());
            }
        }
        assert_eq!(place.records.put_if_absent("a", b"ours"), Ok(Put::Stored), "{faults:?}");
        assert_eq!(place.records.put_if_absent("a", b"ours"), Ok(Put::Exists), "{faults:?}");
        assert_eq!(place.records.get("a"), Ok(Some(b"ours".to_vec())), "{faults:?}");
        assert_eq!(place.records.list("", None), Ok(vec!["a".to_owned()]), "{faults:?}");
        place.records.delete(&["a".into()]).unwrap();
        assert_eq!(place.records.get("a"), Ok(None), "{faults:?}");
    }
    let place = place();
    place.database.hooks().inject(0..9, |_| true, Fault::SERVICE_UNAVAILABLE);
    let error = place.records.get("a").unwrap_err().to_string();
    assert!(error.contains("503 ServiceUnavailable") && error.contains("tried 4 times"), "{error}");
    assert!(error.contains("moil/run/a in the SimpleDB domain runs--jobs"), "{error}");
}

#[test]
fn many_items_take_few_calls() {
    let place = place();
    let names: Vec<String> = (0..60).map(|at| format!("results/{at:03}")).collect();
    for name in &names {
        place.records.put_if_absent(name, b"x").unwrap();
    }
    place.database.hooks().forget_calls();
    assert_eq!(place.records.list("results/", None), Ok(names.clone()));
    assert_eq!(place.records.list("results/", Some("results/057")), Ok(names[58..].to_vec()));
    assert_eq!(place.database.hooks().count("Select"), 2);
    place.records.delete(&names).unwrap();
    assert_eq!(place.database.hooks().count("BatchDeleteAttributes"), 3);
    assert!(place.database.items("runs--jobs").unwrap().is_empty());
}

#[test]
fn damaged_items_are_noticed() {
    let place = place();
    place.records.put_if_absent("a", &vec![b'y'; 200_000]).unwrap();
    let client = S3::new(crate::s3::settings(&place.s3));
    let keys: Vec<String> = place.s3.objects("runs--toil").into_keys().collect();
    client.bucket("runs--toil").delete(&keys).unwrap();
    let error = place.records.get("a").unwrap_err().to_string();
    assert!(error.contains("s3://runs--toil/moil/run/overlarge/a/"), "{error}");
    let database = SimpleDb::new(client, Some(&place.database.url())).unwrap();
    let attribute = ("nonce".to_owned(), "n".to_owned());
    database.put("runs--jobs", "moil/run/b", &[attribute], None).unwrap();
    let error = place.records.get("b").unwrap_err().to_string();
    assert!(error.contains("number of its parts"), "{error}");
}

#[test]
fn wrong_keys_and_missing_domains_are_told() {
    let place = place();
    let wrong = Credentials::Keys {
        access: moil_testing::s3::ACCESS_KEY.into(),
        secret: "planted-secret".into(),
        session: Some("planted-token".into()),
    };
    let settings = Settings { credentials: wrong, ..crate::s3::settings(&place.s3) };
    let stranger = SimpleDb::new(S3::new(settings), Some(&place.database.url())).unwrap();
    let error = stranger.get("runs--jobs", "a").unwrap_err();
    assert_eq!(error.kind, Kind::Credentials);
    assert!(!error.to_string().contains("planted"), "{error}");
    let client = S3::new(crate::s3::settings(&place.s3));
    let database = SimpleDb::new(client, Some(&place.database.url())).unwrap();
    assert!(database.has_domain("runs--jobs").unwrap());
    assert!(!database.has_domain("none").unwrap());
    assert_eq!(database.get("none", "a").unwrap_err().kind, Kind::NoBucket);
    database.delete_domain("runs--jobs").unwrap();
    assert!(!database.has_domain("runs--jobs").unwrap());
}
