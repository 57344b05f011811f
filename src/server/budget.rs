//! Reading bodies, with the bytes that are buffered over all calls bounded.
//!
//! A body pays before it is read, in two lanes: the small lane for its first [`SMALL_BODY`] bytes,
//! the large lane for the rest. So a few huge or slow bodies fill only the large lane, and ordinary
//! reviews (5 to 20 KiB) go past them. A large body pays the large lane first and holds nothing
//! while it waits; nobody waits for one lane while holding what others of that lane need.
//! Buffers grow as bytes come, never beyond what was paid.

use std::{error::Error as StdError, ops::Deref, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

/// What a body takes from the small lane at most, in bytes.
pub const SMALL_BODY: usize = 256 * 1024;
/// The small lane as a whole, in bytes.
pub const SMALL_LANE: usize = 64 * 1024 * 1024;
/// The large lane as a whole, in bytes: at least four bodies of 20 MiB at once.
pub const LARGE_LANE: usize = 96 * 1024 * 1024;

/// The bytes that all calls together may hold. Clones share them.
#[derive(Clone, Debug)]
pub struct Budget {
    small: Lane,
    large: Lane,
}

#[derive(Clone, Debug)]
struct Lane {
    free: Arc<Semaphore>,
    size: usize,
}

/// A body, and what was paid for it: given back when this is dropped, so keep it until the call
/// ends.
#[derive(Debug)]
pub struct Held {
    bytes: Bytes,
    paid: Paid,
}

#[derive(Debug, Default)]
struct Paid {
    small: Option<OwnedSemaphorePermit>,
    large: Option<OwnedSemaphorePermit>,
}

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// It is longer than allowed.
    #[error("the body is longer than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// It did not come in time.
    #[error("the body did not arrive within {} s", within.as_secs())]
    TooSlow {
        /// The limit.
        within: Duration,
    },
    /// Other bodies hold all there is.
    #[error("too many bytes of other calls are being read; try again")]
    Overloaded,
    /// The client broke off.
    #[error("the body could not be read to its end")]
    Broken(#[source] Box<dyn StdError + Send + Sync>),
}

// === impl Budget ===

impl Default for Budget {
    fn default() -> Self {
        Self::new(SMALL_LANE, LARGE_LANE)
    }
}

impl Budget {
    /// A budget with lanes of these sizes, in bytes.
    pub fn new(small: usize, large: usize) -> Self {
        Self { small: Lane::new(small), large: Lane::new(large) }
    }

    /// The bytes that are paid for at present.
    pub fn in_use(&self) -> usize {
        self.small.in_use() + self.large.in_use()
    }

    /// Reads a body to its end: at most `limit` bytes, waiting for room and reading taking at most
    /// `within` together. `declared` is its `Content-Length`, if it has one.
    pub async fn read_body<B>(
        &self,
        body: B,
        declared: Option<u64>,
        limit: usize,
        within: Duration,
    ) -> Result<Held, BodyError>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let deadline = Instant::now() + within;
        let declared = match declared.or_else(|| body.size_hint().exact()) {
            None => None,
            Some(length) => match usize::try_from(length) {
                Ok(length) if length <= limit => Some(length),
                _ => return Err(BodyError::TooLarge { limit }),
            },
        };
        let first = declared.unwrap_or(SMALL_BODY).min(limit);
        let paid =
            timeout_at(deadline, self.pay(first)).await.map_err(|_| BodyError::Overloaded)?;
        timeout_at(deadline, self.collect(body, paid, declared, limit))
            .await
            .map_err(|_| BodyError::TooSlow { within })?
    }

    /// Pays for `bytes` more than the body itself, for as long as it is held. Does not wait: who
    /// holds some of a lane must not.
    pub fn pay_more(&self, held: &mut Held, bytes: usize) -> Result<(), BodyError> {
        let more = self.large.take_now(bytes).ok_or(BodyError::Overloaded)?;
        match &mut held.paid.large {
            Some(paid) => paid.merge(more),
            unpaid => *unpaid = Some(more),
        }
        Ok(())
    }

    /// Pays for a body of this length.
    async fn pay(&self, length: usize) -> Paid {
        let beyond = length.saturating_sub(SMALL_BODY);
        let large = if beyond > 0 { self.large.take(beyond).await } else { None };
        let small = self.small.take(length.min(SMALL_BODY)).await;
        Paid { small, large }
    }

    async fn collect<B>(
        &self,
        body: B,
        mut paid: Paid,
        declared: Option<usize>,
        limit: usize,
    ) -> Result<Held, BodyError>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let mut body = pin!(body);
        let most = declared.unwrap_or(limit);
        let mut whole = Bytes::new();
        let mut buffer = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| BodyError::Broken(error.into()))?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            let length = whole.len() + buffer.len() + data.len();
            if length > most {
                return Err(BodyError::TooLarge { limit });
            }
            if declared.is_none() && length > SMALL_BODY && paid.large.is_none() {
                // This body holds some of the small lane, so it must not wait for the large one.
                let beyond = limit.saturating_sub(SMALL_BODY);
                paid.large = Some(self.large.take_now(beyond).ok_or(BodyError::Overloaded)?);
            }
            // Most bodies come in one piece, which is then not copied.
            if whole.is_empty() && buffer.is_empty() {
                whole = data;
                continue;
            }
            if length > buffer.capacity() {
                let target = length.max(buffer.capacity().saturating_mul(2)).min(most);
                buffer.reserve_exact(target.saturating_sub(buffer.len()));
            }
            buffer.extend_from_slice(&std::mem::take(&mut whole));
            buffer.extend_from_slice(&data);
        }
        let bytes = if buffer.is_empty() { whole } else { Bytes::from(buffer) };
        Ok(Held { bytes, paid })
    }
}

// === impl Lane ===

impl Lane {
    fn new(size: usize) -> Self {
        let size = size.min(Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(size)), size }
    }

    fn in_use(&self) -> usize {
        self.size.saturating_sub(self.free.available_permits())
    }

    /// No body is asked for more than the lane has, or it would wait for ever.
    fn price(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.min(self.size)).unwrap_or(u32::MAX)
    }

    /// Waits its turn. None only of a closed semaphore, and none of ours is ever closed.
    async fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).acquire_many_owned(self.price(bytes)).await.ok()
    }

    fn take_now(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).try_acquire_many_owned(self.price(bytes)).ok()
    }
}

// === impl Held ===

impl Held {
    /// The bytes that are paid for.
    pub fn paid(&self) -> usize {
        let Paid { small, large } = &self.paid;
        [small, large].into_iter().flatten().map(OwnedSemaphorePermit::num_permits).sum()
    }
}

impl Deref for Held {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, future::pending};

    use futures::{StreamExt, future::join_all, stream};
    use http_body::Frame;
    use http_body_util::{Full, StreamBody};

    use super::*;

    const LIMIT: usize = 20 * 1024 * 1024;
    const WITHIN: Duration = Duration::from_secs(10);

    /// A body without a length of its own, in pieces of 64 KiB.
    fn pieces(length: usize) -> impl Body<Data = Bytes, Error = Infallible> {
        const PIECE: usize = 64 * 1024;
        let pieces = (0..length).step_by(PIECE).map(move |at| PIECE.min(length - at));
        StreamBody::new(stream::iter(pieces).then(|length| async move {
            tokio::task::yield_now().await;
            Ok(Frame::data(Bytes::from(vec![b'x'; length])))
        }))
    }

    /// One piece, and then nothing for ever.
    fn stuck() -> impl Body<Data = Bytes, Error = Infallible> {
        let first = stream::iter([Ok(Frame::data(Bytes::from_static(b"{")))]);
        StreamBody::new(first.chain(stream::once(pending())))
    }

    fn length(bytes: usize) -> Option<u64> {
        u64::try_from(bytes).ok()
    }

    /// field.md N22.
    #[tokio::test(start_paused = true)]
    async fn forty_bodies_of_19_mib_at_once_stay_within_the_budget() {
        let budget = Budget::default();
        let size = 19 * 1024 * 1024;
        let most = std::cell::Cell::new(0);
        let calls = (0..40).map(|_| async {
            let held = budget.read_body(pieces(size), length(size), LIMIT, WITHIN).await.unwrap();
            assert_eq!(held.len(), size);
            assert!(held.paid() >= size);
            most.set(most.get().max(budget.in_use()));
        });
        join_all(calls).await;
        assert!(most.get() <= SMALL_LANE + LARGE_LANE, "{} bytes", most.get());
        assert_eq!(budget.in_use(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn ordinary_bodies_go_past_huge_ones() {
        let budget = Budget::default();
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(budget.read_body(pieces(LIMIT), length(LIMIT), LIMIT, WITHIN).await.unwrap());
        }
        let mut fifth = pin!(budget.read_body(pieces(LIMIT), length(LIMIT), LIMIT, WITHIN));
        assert!(futures::poll!(fifth.as_mut()).is_pending());
        let small = budget.read_body(Full::from("{}"), Some(2), LIMIT, WITHIN).await.unwrap();
        assert_eq!(&*small, b"{}");
        held.pop();
        assert_eq!(fifth.await.unwrap().len(), LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_room_ends_in_time() {
        let budget = Budget::new(SMALL_LANE, LIMIT - SMALL_BODY);
        let first = budget.read_body(pieces(LIMIT), length(LIMIT), LIMIT, WITHIN).await.unwrap();
        let began = Instant::now();
        let second = budget.read_body(pieces(LIMIT), length(LIMIT), LIMIT, WITHIN).await;
        assert!(matches!(second, Err(BodyError::Overloaded)), "{second:?}");
        assert_eq!(began.elapsed(), WITHIN);
        drop(first);
        assert_eq!(budget.in_use(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_of_unknown_length_pays_for_the_longest_once_it_is_long() {
        let budget = Budget::default();
        let short = budget.read_body(pieces(SMALL_BODY), None, LIMIT, WITHIN).await.unwrap();
        assert_eq!(short.paid(), SMALL_BODY);
        let long = budget.read_body(pieces(SMALL_BODY + 1), None, LIMIT, WITHIN).await.unwrap();
        assert_eq!(long.paid(), LIMIT);
        let full = Budget::new(SMALL_LANE, LIMIT - SMALL_BODY);
        let _first = full.read_body(pieces(LIMIT), length(LIMIT), LIMIT, WITHIN).await.unwrap();
        let began = Instant::now();
        let refused = full.read_body(pieces(SMALL_BODY + 1), None, LIMIT, WITHIN).await;
        assert!(matches!(refused, Err(BodyError::Overloaded)), "{refused:?}");
        assert_eq!(began.elapsed(), Duration::ZERO, "it must not wait with what it holds");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_over_the_limit_is_refused() {
        let budget = Budget::default();
        let declared = budget.read_body(stuck(), length(LIMIT + 1), LIMIT, WITHIN).await;
        assert!(matches!(declared, Err(BodyError::TooLarge { limit: LIMIT })), "{declared:?}");
        let found = budget.read_body(pieces(LIMIT + 1), None, LIMIT, WITHIN).await;
        assert!(matches!(found, Err(BodyError::TooLarge { limit: LIMIT })), "{found:?}");
        assert_eq!(budget.in_use(), 0);
    }

    /// field.md N22: a slow body.
    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_is_not_waited_for() {
        let budget = Budget::default();
        let slow = budget.read_body(stuck(), Some(1000), LIMIT, WITHIN).await;
        assert!(matches!(slow, Err(BodyError::TooSlow { .. })), "{slow:?}");
        assert_eq!(budget.in_use(), 0);
    }
}
