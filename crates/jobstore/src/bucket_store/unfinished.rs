//! Whether workers of a run may have left unfinished uploads: then these are listed when it is removed. Pure.

use moil_cwl::value::Value;
use moil_job::record::Record;

/// Whether a record tells of an attempt that may have left one: one that ended otherwise than well, or with files of
/// more than `smallest` bytes, which are uploaded in parts. What is in a directory is not known.
pub(super) fn may_be_left(record: &Record, smallest: u64) -> bool {
    match record {
        Record::AttemptFailed { .. } | Record::JobReused { .. } | Record::InPlace { .. } => true,
        Record::JobFinished { result, .. } => {
            let mut is_large = false;
            result.outputs.visit_files(&mut |item| {
                is_large |= match item {
                    Value::File(file) => file.size.is_none_or(|size| size > smallest),
                    _ => true,
                }
            });
            is_large
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use moil_cwl::value::{Directory, File};
    use moil_job::failure::{Failure, FailureKind};
    use moil_job::result::{JobResult, Usage};
    use moil_job::spec::{AttemptId, JobId};

    use super::*;

    #[test]
    fn only_small_files_of_attempts_that_ended_well_leave_nothing() {
        let attempt = || AttemptId { job: JobId("a".into()), number: 1 };
        let done = |outputs| Record::JobFinished {
            attempt: attempt(),
            result: JobResult {
                outputs,
                exit_code: 0,
                usage: Usage::default(),
                updates: Vec::new(),
                logs: Vec::new(),
            },
        };
        let file = |size| File { size, ..File::default() };
        let with = |size| {
            let secondary_files = Arc::new(vec![Value::File(Arc::new(file(size)))]);
            Value::File(Arc::new(File { secondary_files, ..file(Some(1)) }))
        };
        let failure = Failure::new(FailureKind::Lost, "gone");
        let cases = [
            ("nothing", done(Value::Null), false),
            ("small files", done(Value::list(vec![with(Some(8))])), false),
            ("a large one", done(Value::list(vec![with(Some(9))])), true),
            ("one of unknown size", done(with(None)), true),
            ("a directory", done(Value::Directory(Arc::new(Directory::default()))), true),
            ("no success", Record::AttemptFailed { attempt: attempt(), failure, retry: None }, true),
            ("anything else", Record::RunFinished { success: true }, false),
        ];
        for (what, record, is_left) in cases {
            assert_eq!(may_be_left(&record, 8), is_left, "{what}");
        }
    }
}
