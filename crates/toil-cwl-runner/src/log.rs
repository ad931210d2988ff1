//! The log: lines on stderr and in a file, from any thread.

use std::fmt;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::log_file::LogFile;

/// How much a line matters. The lesser, the more important.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// It ends the run.
    Critical,
    /// Something failed.
    Error,
    /// Something may be wrong.
    Warning,
    /// The course of the run.
    Info,
    /// Details.
    Debug,
    /// Everything.
    Trace,
}

impl Level {
    /// The level of a name, in any mix of upper and lower case.
    ///
    /// # Errors
    /// What is wrong, to follow the option's name.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "critical" | "off" => Ok(Self::Critical),
            "error" => Ok(Self::Error),
            "warning" | "warn" => Ok(Self::Warning),
            "info" => Ok(Self::Info),
            "debug" => Ok(Self::Debug),
            "trace" => Ok(Self::Trace),
            _ => Err(format!("'{text}' is none of Critical, Error, Warning, Info, Debug and Trace")),
        }
    }

    fn letter(self) -> char {
        match self {
            Self::Critical => 'C',
            Self::Error => 'E',
            Self::Warning => 'W',
            Self::Info => 'I',
            Self::Debug => 'D',
            Self::Trace => 'T',
        }
    }

    /// The colour in the terminal's own words, if the level has one.
    fn colour(self) -> Option<&'static str> {
        match self {
            Self::Critical | Self::Error => Some("\x1b[31m"),
            Self::Warning => Some("\x1b[33m"),
            Self::Info => None,
            Self::Debug | Self::Trace => Some("\x1b[2m"),
        }
    }
}

/// The log. Clones write to the same places.
#[derive(Clone)]
pub struct Log(Arc<Inner>);

struct Inner {
    level: Level,
    colours: bool,
    clock: fn() -> SystemTime,
    places: Mutex<Places>,
}

struct Places {
    stderr: Box<dyn Write + Send>,
    file: Option<LogFile>,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("level", &self.0.level).finish_non_exhaustive()
    }
}

impl Log {
    /// A log of all lines down to `level`.
    pub fn new(level: Level, stderr: Box<dyn Write + Send>, colours: bool, file: Option<LogFile>) -> Self {
        Self::with_clock(level, stderr, colours, file, SystemTime::now)
    }

    /// The same with a clock of its own, for tests.
    pub fn with_clock(
        level: Level,
        stderr: Box<dyn Write + Send>,
        colours: bool,
        file: Option<LogFile>,
        clock: fn() -> SystemTime,
    ) -> Self {
        Self(Arc::new(Inner { level, colours, clock, places: Mutex::new(Places { stderr, file }) }))
    }

    /// Whether lines of a level are logged, for lines that are costly to make.
    pub fn enabled(&self, level: Level) -> bool {
        level <= self.0.level
    }

    /// Logs one message. `format_args!` costs nothing if the level is off. Faults of stderr and of
    /// the file are passed over: a log never ends a run.
    pub fn log(&self, level: Level, message: impl fmt::Display) {
        if !self.enabled(level) {
            return;
        }
        let time = timestamp((self.0.clock)());
        let letter = level.letter();
        let plain = format!("[{time}] [{letter}] {message}\n");
        let mut places = self.0.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &mut places.file {
            _ = file.write(&plain);
        }
        _ = match level.colour().filter(|_| self.0.colours) {
            Some(colour) => {
                let body = plain.trim_end_matches('\n');
                places.stderr.write_all(format!("{colour}{body}\x1b[0m\n").as_bytes())
            }
            None => places.stderr.write_all(plain.as_bytes()),
        };
        _ = places.stderr.flush();
    }

    /// Logs what ends the run.
    pub fn critical(&self, message: impl fmt::Display) {
        self.log(Level::Critical, message);
    }

    /// Logs what failed.
    pub fn error(&self, message: impl fmt::Display) {
        self.log(Level::Error, message);
    }

    /// Logs what may be wrong.
    pub fn warning(&self, message: impl fmt::Display) {
        self.log(Level::Warning, message);
    }

    /// Logs the course of the run.
    pub fn info(&self, message: impl fmt::Display) {
        self.log(Level::Info, message);
    }

    /// Logs a detail.
    pub fn debug(&self, message: impl fmt::Display) {
        self.log(Level::Debug, message);
    }

    /// Logs anything else.
    pub fn trace(&self, message: impl fmt::Display) {
        self.log(Level::Trace, message);
    }

    /// Lends out stderr, for what is drawn there and taken off again. Nothing else is written meanwhile.
    pub fn with_stderr(&self, use_it: impl FnOnce(&mut dyn Write)) {
        let mut places = self.0.places.lock().unwrap_or_else(PoisonError::into_inner);
        use_it(&mut *places.stderr);
    }

    /// Writes text as it is, at any level, in one piece: what is printed about the run as a whole,
    /// such as diagnostics.
    pub fn text(&self, text: &str) {
        let mut places = self.0.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &mut places.file {
            _ = file.write(text);
        }
        _ = places.stderr.write_all(text.as_bytes());
        _ = places.stderr.flush();
    }
}

/// The time in milliseconds since 1970, as in the log.
pub(crate) fn timestamp_of(milliseconds: u64) -> String {
    timestamp(UNIX_EPOCH + std::time::Duration::from_millis(milliseconds))
}

/// `2026-11-24T01:02:03+0000`: always UTC, as in Toil's log on clusters.
fn timestamp(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, second) = (seconds / 86400, seconds % 86400);
    let (year, month, day) = civil(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}+0000",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// The Gregorian date of a day counted from 1970-01-01. Years are counted from March, so that the leap
/// day is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // since 0000-03-01
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::invocation::Capture;

    fn moment() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_795_482_123)
    }

    #[test]
    fn times_are_calendar_times() {
        let check = |seconds: u64, expected: &str| {
            assert_eq!(timestamp(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        };
        check(0, "1970-01-01T00:00:00+0000");
        check(951_782_399, "2000-02-28T23:59:59+0000");
        check(951_782_400, "2000-02-29T00:00:00+0000");
        check(951_868_800, "2000-03-01T00:00:00+0000");
        check(1_795_482_123, "2026-11-24T01:02:03+0000");
        check(4_107_542_400, "2100-03-01T00:00:00+0000");
    }

    #[test]
    fn lines_have_time_and_level_and_lesser_ones_are_left_out() {
        let stderr = Capture::default();
        let log = Log::with_clock(Level::Info, Box::new(stderr.clone()), false, None, moment);
        log.info(format_args!("[step {}] start", "align"));
        log.debug("not this");
        log.error("that failed");
        assert!(!log.enabled(Level::Debug));
        assert_eq!(
            stderr.text(),
            "[2026-11-24T01:02:03+0000] [I] [step align] start\n[2026-11-24T01:02:03+0000] [E] that failed\n"
        );
    }

    #[test]
    fn colours_go_to_the_terminal_and_never_to_the_file() {
        let file = tempfile::NamedTempFile::new().expect("the file is made");
        let stderr = Capture::default();
        let handle = LogFile::open(file.path(), false).expect("it is open");
        let log = Log::with_clock(Level::Trace, Box::new(stderr.clone()), true, Some(handle), moment);
        log.warning("careful");
        log.info("plain");
        assert_eq!(
            stderr.text(),
            "\x1b[33m[2026-11-24T01:02:03+0000] [W] careful\x1b[0m\n[2026-11-24T01:02:03+0000] [I] plain\n"
        );
        assert_eq!(
            std::fs::read_to_string(file.path()).expect("it is read"),
            "[2026-11-24T01:02:03+0000] [W] careful\n[2026-11-24T01:02:03+0000] [I] plain\n"
        );
    }

    #[test]
    fn lines_of_many_threads_are_whole() {
        let stderr = Capture::default();
        let log = Log::new(Level::Info, Box::new(stderr.clone()), false, None);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let log = log.clone();
                scope.spawn(move || (0..50).for_each(|line| log.info(format_args!("{thread} {line} end"))));
            }
        });
        let text = stderr.text();
        assert_eq!(text.lines().count(), 200);
        assert!(text.lines().all(|line| line.starts_with('[') && line.ends_with(" end")));
    }
}
