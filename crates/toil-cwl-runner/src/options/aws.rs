//! The AWS job store, and AWS Batch.

use super::{Group, Opt};

const BATCH: &str = "AWS Batch is not a place where this program runs jobs";

pub(super) const GROUP: Group = Group {
    title: "AWS",
    options: &[
        Opt::value(&["--awsRecords"], "WHERE", "Where an aws: job store keeps its records (default: s3).")
            .choices(&["s3", "simpledb"])
            .own(),
        Opt::value(&["--sseKey"], "FILE", "A key of 32 characters that encrypts what is stored in S3."),
        Opt::value(&["--awsBatchRegion"], "REGION", "The region of AWS Batch.")
            .not_applicable(BATCH)
            .hidden(),
        Opt::value(&["--awsBatchQueue"], "NAME", "The queue of AWS Batch.").not_applicable(BATCH).hidden(),
        Opt::value(&["--awsBatchJobRoleArn"], "ARN", "The role of jobs in AWS Batch.")
            .not_applicable(BATCH)
            .hidden(),
    ],
};
