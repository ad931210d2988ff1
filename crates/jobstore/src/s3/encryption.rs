//! What requests say about encryption.

use aws_sdk_s3::types::ServerSideEncryption;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest, Md5};

use super::settings::Encryption;

/// The three headers about a client's key, or three times nothing.
pub(super) struct CustomerKey {
    pub(super) algorithm: Option<String>,
    pub(super) key: Option<String>,
    pub(super) md5: Option<String>,
}

impl Encryption {
    pub(super) fn customer(&self) -> CustomerKey {
        let Self::Customer(key) = self else { return CustomerKey { algorithm: None, key: None, md5: None } };
        CustomerKey {
            algorithm: Some("AES256".to_owned()),
            key: Some(BASE64_STANDARD.encode(key)),
            md5: Some(BASE64_STANDARD.encode(Md5::digest(key))),
        }
    }

    /// What the server is to do by itself.
    pub(super) fn server(&self) -> Option<ServerSideEncryption> {
        match self {
            Self::Bucket | Self::Customer(_) => None,
            Self::S3 => Some(ServerSideEncryption::Aes256),
            Self::Kms(_) => Some(ServerSideEncryption::AwsKms),
        }
    }

    pub(super) fn kms_key(&self) -> Option<String> {
        match self {
            Self::Kms(key) => key.clone(),
            _ => None,
        }
    }
}

/// A request that reads, or goes on writing, with the client's key.
macro_rules! with_customer_key {
    ($request:expr, $encryption:expr) => {{
        let key = $encryption.customer();
        $request
            .set_sse_customer_algorithm(key.algorithm)
            .set_sse_customer_key(key.key)
            .set_sse_customer_key_md5(key.md5)
    }};
}

/// A request that begins an object.
macro_rules! encrypted {
    ($request:expr, $encryption:expr) => {
        $crate::s3::encryption::with_customer_key!(
            $request
                .set_server_side_encryption($encryption.server())
                .set_ssekms_key_id($encryption.kms_key()),
            $encryption
        )
    };
}

/// A request that copies an object which is encrypted as ours are.
macro_rules! from_encrypted {
    ($request:expr, $encryption:expr) => {{
        let key = $encryption.customer();
        $request
            .set_copy_source_sse_customer_algorithm(key.algorithm)
            .set_copy_source_sse_customer_key(key.key)
            .set_copy_source_sse_customer_key_md5(key.md5)
    }};
}

pub(super) use {encrypted, from_encrypted, with_customer_key};
