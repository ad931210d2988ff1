//! Which operation an HTTP request is.

use hyper::Method;
use hyper::http::request::Parts;

use crate::hooks::Call;
use crate::server::decode;

/// What a request asks for, by its method, path and query.
pub(super) fn call(head: &Parts) -> Call {
    let target = decode(head.uri.path().trim_start_matches('/'), false);
    let target =
        target.strip_suffix('/').filter(|bucket| !bucket.contains('/')).unwrap_or(&target).to_owned();
    let query = head.uri.query().unwrap_or_default();
    let has = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
    let operation = if target.is_empty() {
        "ListBuckets"
    } else if target.contains('/') {
        on_object(&head.method, has, head.headers.contains_key("x-amz-copy-source"))
    } else {
        on_bucket(&head.method, has)
    };
    Call { operation: operation.to_owned(), target }
}

fn on_object(method: &Method, has: impl Fn(&str) -> bool, copies: bool) -> &'static str {
    match (method.as_str(), has("uploadId"), copies) {
        ("PUT", true, false) => "UploadPart",
        ("PUT", true, true) => "UploadPartCopy",
        ("PUT", false, false) => "PutObject",
        ("PUT", false, true) => "CopyObject",
        ("GET", true, _) => "ListParts",
        ("GET", false, _) => "GetObject",
        ("HEAD", ..) => "HeadObject",
        ("DELETE", true, _) => "AbortMultipartUpload",
        ("DELETE", false, _) => "DeleteObject",
        ("POST", true, _) => "CompleteMultipartUpload",
        ("POST", false, _) if has("uploads") => "CreateMultipartUpload",
        _ => "Unknown",
    }
}

/// Parts of a bucket that are put, got and deleted by a word in the query.
const CONFIGURATIONS: &[(&str, [&str; 3])] = &[
    ("tagging", ["PutBucketTagging", "GetBucketTagging", "DeleteBucketTagging"]),
    ("encryption", ["PutBucketEncryption", "GetBucketEncryption", "DeleteBucketEncryption"]),
    ("publicAccessBlock", ["PutPublicAccessBlock", "GetPublicAccessBlock", "DeletePublicAccessBlock"]),
    (
        "lifecycle",
        ["PutBucketLifecycleConfiguration", "GetBucketLifecycleConfiguration", "DeleteBucketLifecycle"],
    ),
];

fn on_bucket(method: &Method, has: impl Fn(&str) -> bool) -> &'static str {
    let configuration = CONFIGURATIONS.iter().find(|(word, _)| has(word));
    match (method.as_str(), configuration) {
        ("PUT", Some((_, names))) => names[0],
        ("GET", Some((_, names))) => names[1],
        ("DELETE", Some((_, names))) => names[2],
        ("PUT", None) => "CreateBucket",
        ("HEAD", None) => "HeadBucket",
        ("DELETE", None) => "DeleteBucket",
        ("GET", None) if has("uploads") => "ListMultipartUploads",
        ("GET", None) if has("location") => "GetBucketLocation",
        ("GET", None) => "ListObjectsV2",
        ("POST", None) if has("delete") => "DeleteObjects",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_recognised() {
        for (method, uri, copies, operation, target) in [
            ("GET", "/", false, "ListBuckets", ""),
            ("PUT", "/b", false, "CreateBucket", "b"),
            ("PUT", "/b/", false, "CreateBucket", "b"),
            ("GET", "/b/?list-type=2&prefix=x", false, "ListObjectsV2", "b"),
            ("GET", "/b?uploads", false, "ListMultipartUploads", "b"),
            ("POST", "/b/?delete", false, "DeleteObjects", "b"),
            ("PUT", "/b?publicAccessBlock", false, "PutPublicAccessBlock", "b"),
            ("PUT", "/b/a%20b/c?x-id=PutObject", false, "PutObject", "b/a b/c"),
            ("PUT", "/b/k?x-id=CopyObject", true, "CopyObject", "b/k"),
            ("PUT", "/b/k?partNumber=1&uploadId=u", true, "UploadPartCopy", "b/k"),
            ("POST", "/b/k?uploads", false, "CreateMultipartUpload", "b/k"),
            ("POST", "/b/k?uploadId=u", false, "CompleteMultipartUpload", "b/k"),
            ("DELETE", "/b/k?uploadId=u", false, "AbortMultipartUpload", "b/k"),
            ("GET", "/b/folder/", false, "GetObject", "b/folder/"),
        ] {
            let mut request = hyper::Request::builder().method(method).uri(uri);
            if copies {
                request = request.header("x-amz-copy-source", "b/other");
            }
            let (head, ()) = request.body(()).unwrap().into_parts();
            assert_eq!(
                call(&head),
                Call { operation: operation.into(), target: target.into() },
                "{method} {uri}"
            );
        }
    }
}
