//! The one way to wait in tests: ask again and again, for a bounded time.
//!
//! Nothing else in this crate waits for an effect. A wait that only lets time pass is either too
//! short on a loaded machine or too long on an idle one.

use std::{future::Future, time::Duration};

use anyhow::{Result, anyhow};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

/// How often a probe is asked.
const PERIOD: Duration = Duration::from_millis(25);

/// Asks `probe` until it answers `Ok`, for at most `within`.
///
/// A probe's `Err` means "not yet, because": the last one ends up in the error of the whole wait,
/// whose first words are `what` (`"the control plane is ready"`). A probe that has seen that
/// waiting on is of no use gives up early by answering `Ok` with a value that says so.
pub async fn eventually<T, F, P>(what: &str, within: Duration, mut probe: F) -> Result<T>
where
    F: FnMut() -> P,
    P: Future<Output = Result<T>>,
{
    let deadline = Instant::now() + within;
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reason = anyhow!("it gave no answer");
    let wait = async {
        loop {
            ticks.tick().await;
            match probe().await {
                Ok(seen) => return seen,
                Err(not_yet) => reason = not_yet,
            }
        }
    };
    match timeout_at(deadline, wait).await {
        Ok(seen) => Ok(seen),
        Err(_) => Err(reason.context(format!("not within {within:?}: {what}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use anyhow::{bail, ensure};

    use super::*;

    #[tokio::test]
    async fn a_wait_ends_with_the_first_good_answer() {
        let asked = Cell::new(0);
        let seen = eventually("three", Duration::from_secs(5), || async {
            asked.set(asked.get() + 1);
            ensure!(asked.get() == 3, "only {}", asked.get());
            Ok("seen")
        })
        .await;
        assert_eq!(seen.unwrap(), "seen");
    }

    #[tokio::test]
    async fn a_wait_that_fails_says_what_for_and_the_last_reason() {
        let within = Duration::from_millis(60);
        let wait: Result<()> = eventually("rain", within, || async { bail!("sun") }).await;
        assert_eq!(format!("{:#}", wait.unwrap_err()), "not within 60ms: rain: sun");
    }

    #[tokio::test]
    async fn a_probe_that_hangs_does_not_hang_the_wait() {
        let within = Duration::from_millis(60);
        let wait: Result<()> = eventually("an answer", within, std::future::pending).await;
        assert!(format!("{:#}", wait.unwrap_err()).contains("it gave no answer"));
    }
}
