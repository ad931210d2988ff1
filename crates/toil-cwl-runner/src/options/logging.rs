//! What is logged, and where.

use super::{Group, Opt};

pub(super) const GROUP: Group = Group {
    title: "Logging",
    options: &[
        Opt::value(&["--logLevel"], "LEVEL", "Critical, Error, Warning, Info (default), Debug or Trace."),
        Opt::flag(&["--logCritical"], "Log only what ends the run.").sets("--logLevel", "Critical"),
        Opt::flag(&["--logOff"], "The same as --logCritical.").sets("--logLevel", "Critical"),
        Opt::flag(&["--logError"], "Log errors.").sets("--logLevel", "Error"),
        Opt::flag(&["--logWarning"], "Log warnings too.").sets("--logLevel", "Warning"),
        Opt::flag(&["--logInfo"], "Log the course of the run too (default).").sets("--logLevel", "Info"),
        Opt::flag(&["--verbose"], "The same as --logInfo.").sets("--logLevel", "Info").cwltool(),
        Opt::flag(&["--logDebug"], "Log details too.").sets("--logLevel", "Debug"),
        Opt::flag(&["--debug"], "The same as --logDebug.").sets("--logLevel", "Debug").cwltool(),
        Opt::flag(&["--logTrace"], "Log everything.").sets("--logLevel", "Trace"),
        Opt::flag(&["--quiet"], "Log only errors, unless a level is given."),
        Opt::flag(&["--no-warnings"], "The same as --quiet.").sets("--quiet", "true").cwltool(),
        Opt::value(&["--logFile"], "FILE", "Write the log to a file too."),
        Opt::flag(
            &["--rotatingLogging"],
            "Start a new log file when one reaches 1 MB, and keep the one before as FILE.1.",
        ),
        Opt::bool(&["--logColors"], "Colours on a terminal (default: true; NO_COLOR is honoured)."),
        Opt::flag(&["--enable-color"], "The same as --logColors true.").sets("--logColors", "true").cwltool(),
        Opt::flag(&["--disable-color"], "The same as --logColors false.")
            .sets("--logColors", "false")
            .cwltool(),
        Opt::flag(&["--timestamps"], "Put the time before each line of the log.")
            .accepted("each line has the time")
            .cwltool(),
        Opt::flag(&["--disableProgress"], "No progress on the terminal."),
        Opt::value(&["--statusWait"], "SECONDS", "Time between reports on running jobs.")
            .accepted("there are no such reports: progress and events tell what runs"),
        Opt::value(&["--log-dir"], "DIR", "Keep what tools print here."),
        Opt::optional(
            &["--writeLogs"],
            "DIR",
            "Keep the logs of failed jobs (default: in the current directory).",
        ),
        Opt::optional(&["--writeLogsGzip"], "DIR", "The same, compressed."),
        Opt::bool(&["--writeLogsFromAllJobs"], "Keep the logs of jobs that succeeded too."),
        Opt::value(
            &["--maxLogFileSize"],
            "SIZE",
            "How much of a log is kept: its end, or with '-' its beginning; 0: all (default: 100 Mi).",
        ),
        Opt::bool(&["--realTimeLogging"], "Show what tools print while they run."),
        Opt::value(&["--writeMessages"], "FILE", "Write the events of the run as lines of JSON."),
    ],
};
