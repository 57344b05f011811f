//! Instructions of the pure path, by callgrind: from the bytes of a review to the bytes of the
//! reply, whole and step by step.
//!
//! A count is the same on a busy machine, so that it can be held against one of before, where a
//! time cannot: `make bench-count` does, by `benches/counts.txt`.
#![expect(missing_docs, reason = "what the macros make")]
#![expect(clippy::indexing_slicing, reason = "members of JSON: one that is missing is null")]
#![expect(clippy::unwrap_used, reason = "the reviews are of our own making")]

#[expect(dead_code, reason = "what the API server itself is asked is not counted here")]
#[path = "../src/review.rs"]
mod review;

use gungraun::{library_benchmark, library_benchmark_group, main};
use pod_identity_webhook::admission::{Endpoint, Review, answer};
use pod_identity_webhook::identity::{Annotations, DEFAULT_ANNOTATION_PREFIX};
use pod_identity_webhook::identity::{Knowledge, Listed, Sources};
use pod_identity_webhook::plan::{Ask, Decision, Settings, Spread, decide};

use review::Size::{self, Large, Small, Usual};

/// A call before each of its steps. It lives as long as the process, which makes one call.
struct Call {
    review: &'static Review<'static>,
    ask: &'static Ask<'static>,
    sources: Sources<'static>,
    settings: &'static Settings,
}

/// What the account says.
#[derive(Clone, Copy)]
enum Account {
    WithRole,
    WithoutRole,
}

use Account::{WithRole, WithoutRole};

fn leaked<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn body(size: Size) -> &'static [u8] {
    review::review("app", size).leak()
}

fn sources(account: Account) -> Sources<'static> {
    let role = ("eks.amazonaws.com/role-arn", "arn:aws:iam::111122223333:role/app");
    let annotations = match account {
        WithRole => Annotations::read(DEFAULT_ANNOTATION_PREFIX, [role]),
        WithoutRole => Annotations::default(),
    };
    Sources {
        credentials_file: Listed::No,
        account: Knowledge::Known(leaked(annotations)),
        mapping: None,
        guard: None,
    }
}

fn call(size: Size, account: Account) -> Call {
    let (review, ask) = Review::read(body(size)).unwrap();
    let (review, ask) = (leaked(review), leaked(ask.unwrap()));
    Call { review, ask, sources: sources(account), settings: leaked(Settings::default()) }
}

fn received(size: Size, account: Account) -> (&'static [u8], Sources<'static>, &'static Settings) {
    (body(size), sources(account), leaked(Settings::default()))
}

fn decided(size: Size, account: Account) -> (&'static Review<'static>, Decision<'static>) {
    let Call { review, ask, sources, settings } = call(size, account);
    (review, decide(ask, leaked(sources), Spread::by_request(review.uid()), settings))
}

#[library_benchmark]
#[bench::small(body(Small))]
#[bench::usual(body(Usual))]
#[bench::large(body(Large))]
fn decode(body: &'static [u8]) -> (Review<'static>, Ask<'static>) {
    let (review, ask) = Review::read(body).unwrap();
    (review, ask.unwrap())
}

#[library_benchmark]
#[bench::usual_with_role(call(Usual, WithRole))]
#[bench::usual_without_role(call(Usual, WithoutRole))]
#[bench::large_with_role(call(Large, WithRole))]
fn decision(call: Call) -> (Decision<'static>, &'static Sources<'static>) {
    let Call { review, ask, sources, settings } = call;
    let sources = leaked(sources);
    (decide(ask, sources, Spread::by_request(review.uid()), settings), sources)
}

#[library_benchmark]
#[bench::usual_with_role(decided(Usual, WithRole))]
#[bench::usual_without_role(decided(Usual, WithoutRole))]
fn reply(
    (review, decision): (&'static Review<'static>, Decision<'static>),
) -> (Vec<u8>, Decision<'static>) {
    (answer(review, &decision, Endpoint::Lenient).unwrap(), decision)
}

#[library_benchmark]
#[bench::small_with_role(received(Small, WithRole))]
#[bench::small_without_role(received(Small, WithoutRole))]
#[bench::usual_with_role(received(Usual, WithRole))]
#[bench::usual_without_role(received(Usual, WithoutRole))]
#[bench::large_with_role(received(Large, WithRole))]
#[bench::large_without_role(received(Large, WithoutRole))]
fn whole(
    (body, sources, settings): (&'static [u8], Sources<'static>, &'static Settings),
) -> Vec<u8> {
    let (review, ask) = Review::read(body).unwrap();
    let ask = ask.unwrap();
    let decision = decide(&ask, &sources, Spread::by_request(review.uid()), settings);
    answer(&review, &decision, Endpoint::Lenient).unwrap()
}

library_benchmark_group!(name = pure, benchmarks = [decode, decision, reply, whole]);
main!(library_benchmark_groups = pure);
