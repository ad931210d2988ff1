//! Those who are told what happens in a run.

use std::fs;
use std::io::Write as _;
use std::time::Instant;

use moil_engine::fold::messages;
use moil_engine::fold::statistics::Statistics;
use moil_engine::leader::RunEnd;
use moil_job::event::Event;
use moil_job::failure::{Failure, FailureKind};

use crate::failure_report;
use crate::log::{Level, Log};
use crate::progress::{self, Display};
use crate::settings::Settings;

/// Those who are told what happens: the log, the display, the file of messages, the statistics.
pub struct Audience<'a> {
    log: &'a Log,
    display: Option<Display>,
    messages: Option<fs::File>,
    statistics: Statistics,
    start: Instant,
}

impl<'a> Audience<'a> {
    /// Opens what they are told in.
    ///
    /// # Errors
    /// The file of messages cannot be written.
    pub fn new(settings: &Settings, log: &'a Log) -> Result<Self, Failure> {
        let messages = match &settings.log.messages {
            Some(path) => Some(fs::File::create(path).map_err(|error| {
                Failure::new(FailureKind::System, format!("cannot write {}", path.display()))
                    .with_cause(error)
            })?),
            None => None,
        };
        Ok(Self {
            log,
            display: (settings.log.progress && log.enabled(Level::Info)).then(Display::default),
            messages,
            statistics: Statistics::default(),
            start: Instant::now(),
        })
    }

    /// Tells them of something.
    pub fn hear(&mut self, event: &Event) {
        if let Some(file) = &mut self.messages
            && let Some(message) = messages::message(event, self.start.elapsed().as_secs_f64())
        {
            // Told once: a full disk stays full.
            if let Err(error) = writeln!(file, "{message}") {
                self.messages = None;
                self.log.warning(format_args!("messages are written no more: {error}"));
            }
        }
        self.statistics.take(event);
        let said = progress::said(event);
        match &mut self.display {
            Some(display) => {
                if !said.is_empty() {
                    self.log.with_stderr(|stderr| _ = display.clear(stderr));
                }
                said.iter().for_each(|(level, line)| self.log.log(*level, line));
                self.log.with_stderr(|stderr| _ = display.take(event, stderr));
            }
            None => {
                said.iter().for_each(|(level, line)| self.log.log(*level, line));
                if self.log.enabled(Level::Info)
                    && let Some(line) = progress::plain_line(event)
                {
                    self.log.info(line);
                }
            }
        }
    }

    /// Tells them the last.
    pub fn leave(mut self, settings: &Settings) {
        if let Some(display) = &mut self.display {
            self.log.with_stderr(|stderr| _ = display.clear(stderr));
        }
        if settings.store.stats {
            self.log.text(&format!("{:#}\n", self.statistics.to_json()));
        }
    }
}

/// Tells why a run failed.
pub fn tell_failures(end: &RunEnd, log: &Log) {
    for (what, failure) in &end.failures {
        for line in failure_report::lines(what, failure) {
            log.error(line);
        }
    }
}
