//! What one thread logs, kept for a test to read.
//!
//! A subscriber of one thread's own would not hear everything: tracing asks once for each place
//! that logs whether anybody listens, and keeps the answer of the thread that came by first, which
//! may be another test's. So the process has one subscriber, [`attentive()`] installs it before
//! anything under test logs, and each line goes to the thread's own listener, if it has one.

use std::cell::RefCell;
use std::io;
use std::sync::{Arc, Mutex, Once, PoisonError};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;

/// The lines of one thread, from [`Heard::listen`] on until this is dropped.
///
/// It belongs to the thread that made it, and at most one of a thread listens at a time.
#[derive(Debug)]
pub struct Heard {
    lines: Lines,
    /// Dropped on another thread it would end that thread's listener, so it cannot be sent.
    _of_this_thread: std::marker::PhantomData<*const ()>,
}

type Lines = Arc<Mutex<Vec<u8>>>;

thread_local! {
    static LISTENER: RefCell<Option<(LevelFilter, Lines)>> = const { RefCell::new(None) };
}

/// Has every thread of this process heard by its own listener from now on.
///
/// Tests whose lines are to be read call it, by way of what sets them up, before the code under
/// test runs for the first time. More calls change nothing.
///
/// # Panics
///
/// If the process has another global subscriber: nothing would be heard.
pub fn attentive() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let wanted = dynamic_filter_fn(|metadata, _| {
            LISTENER.with_borrow(|listener| {
                listener.as_ref().is_some_and(|(level, _)| metadata.level() <= level)
            })
        });
        let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(|| ThisThread);
        let installed = tracing::subscriber::set_global_default(
            tracing_subscriber::registry().with(wanted).with(lines),
        );
        assert!(installed.is_ok(), "this process has a global subscriber already");
    });
}

/// Writes to the listener of the thread that it is used on.
struct ThisThread;

// === impl Heard ===

impl Heard {
    /// Keeps what this thread logs from now on, at `level` and above it in severity.
    ///
    /// # Panics
    ///
    /// If this thread is listened to already.
    pub fn listen(level: LevelFilter) -> Self {
        attentive();
        let lines = Lines::default();
        let before = LISTENER.replace(Some((level, lines.clone())));
        assert!(before.is_none(), "this thread is listened to already");
        Self { lines, _of_this_thread: std::marker::PhantomData }
    }

    /// All that was logged so far.
    pub fn text(&self) -> String {
        let bytes = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        LISTENER.set(None);
    }
}

// === impl ThisThread ===

impl io::Write for ThisThread {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LISTENER.with_borrow(|listener| {
            if let Some((_, lines)) = listener {
                lines.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Logs from one place, whoever calls.
    fn say(word: &str) {
        tracing::info!(word, "said");
    }

    /// tracing asks whether a place is of interest when a thread first comes by it.
    #[test]
    fn a_thread_is_heard_where_a_deaf_one_came_by_first() {
        attentive();
        std::thread::spawn(|| say("deaf")).join().unwrap();
        let heard = Heard::listen(LevelFilter::INFO);
        say("heard");
        std::thread::spawn(|| say("elsewhere")).join().unwrap();
        tracing::debug!("below the level");
        let text = heard.text();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("said word=\"heard\""), "{text}");
    }

    #[test]
    fn nothing_is_kept_once_the_listener_is_gone() {
        let first = Heard::listen(LevelFilter::INFO);
        say("first");
        drop(first);
        say("between");
        let second = Heard::listen(LevelFilter::INFO);
        say("second");
        assert!(second.text().contains("second") && !second.text().contains("between"));
    }
}
