//! What a worker tells on standard output. Nobody may take it for a long time, since the leader sleeps, and the worker has more
//! to do: it is written by a thread of its own.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use moil_job::frames::{self, Answer};

/// While so many bytes wait, lines and notes are left out: what counts is said again, or is in the job store.
const ENOUGH: usize = 4 << 20;

/// How long what was said last may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Writes in turn what it is told.
pub(super) struct Speaker {
    lines: Sender<String>,
    /// How many bytes wait.
    waiting: Arc<AtomicUsize>,
    /// Closed when all is written.
    is_done: Receiver<()>,
    left_out: usize,
}

impl Speaker {
    /// # Errors
    /// There is no thread to be had.
    pub(super) fn start() -> std::io::Result<Self> {
        let (lines, told) = channel::<String>();
        let (done, is_done) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let waits = Arc::clone(&waiting);
        let write = move || {
            let _done = done;
            for line in told {
                let mut stdout = std::io::stdout().lock();
                // Whoever has cut it attaches again.
                _ = stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush());
                waits.fetch_sub(line.len(), Ordering::Relaxed);
            }
        };
        std::thread::Builder::new().name("speaker".to_owned()).spawn(write)?;
        Ok(Self { lines, waiting, is_done, left_out: 0 })
    }

    /// Says something to the leader with a mark. Gives how many lines were left out before it, once they are taken again.
    pub(super) fn say(&mut self, mark: &str, answer: &Answer) -> usize {
        let is_long = self.waiting.load(Ordering::Relaxed) > ENOUGH;
        if is_long && matches!(answer, Answer::Line { .. } | Answer::Note { .. }) {
            self.left_out += 1;
            return 0;
        }
        let line = frames::write_answer(mark, answer);
        self.waiting.fetch_add(line.len(), Ordering::Relaxed);
        // The thread is there for as long as this.
        _ = self.lines.send(line);
        if is_long { 0 } else { std::mem::take(&mut self.left_out) }
    }

    /// Waits until all is written, for a little while.
    pub(super) fn finish(self) {
        let Self { lines, is_done, .. } = self;
        drop(lines);
        // It is given up where nobody takes it.
        let (Ok(()) | Err(RecvTimeoutError::Disconnected | RecvTimeoutError::Timeout)) =
            is_done.recv_timeout(PATIENCE);
    }
}
