//! Runs the servers for programs of others, until the standard input ends.

// An example prints.
#![allow(clippy::print_stdout)]

use std::io::Read;

use moil_testing::{s3, simpledb};

fn main() {
    let (s3_server, simpledb_server) = (s3::S3Server::start(), simpledb::SimpleDbServer::start());
    println!("AWS_ENDPOINT_URL_S3={}", s3_server.url());
    println!("AWS_ENDPOINT_URL_SIMPLEDB={}", simpledb_server.url());
    println!("AWS_ACCESS_KEY_ID={}", s3::ACCESS_KEY);
    println!("AWS_SECRET_ACCESS_KEY={}", s3::SECRET_KEY);
    println!("AWS_REGION=us-east-1");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}
