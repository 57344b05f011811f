//! Bad input and large input, each with its answer.

use std::fmt::Write as _;

use futures::stream;
use pod_identity_webhook::http::MAX_BODY;
use pod_identity_webhook::server::budget::{SMALL_BODY, SMALL_LANE};
use tokio::time::Instant;

use super::*;

const MIB: usize = 1024 * 1024;

/// A body whose length nobody says beforehand.
fn chunked(chunks: usize, bytes: &Bytes) -> Body {
    let chunks = std::iter::repeat_n(bytes.clone(), chunks);
    Body::from_stream(stream::iter(chunks.map(Ok::<_, std::io::Error>)))
}

/// Asserts that an answer is a status and one sentence.
#[track_caller]
fn one_sentence(answer: &Answer, status: StatusCode) {
    let text = answer.text();
    assert_eq!(answer.status, status, "{text}");
    assert_eq!(text.lines().count(), 1, "{text:?}");
    assert!(text.len() < 200, "{text:?}");
}

/// A Pod's JSON in which `part` stands in the middle of the spec.
fn with_part(part: &str) -> String {
    let review = v1(&pod("irsa"));
    let spec = "\"spec\":{";
    assert_eq!(review.matches(spec).count(), 1);
    review.replace(spec, &format!("{spec}{part},"))
}

/// What is no AdmissionReview is the caller's failure, and the failurePolicy is applied.
#[tokio::test(start_paused = true)]
async fn what_is_no_review_is_refused_with_one_sentence() {
    let world = World::new().await;
    let whole = v1(&pod("irsa"));
    let mut bodies: Vec<(Vec<u8>, &str)> = vec![
        (Vec::new(), "is empty"),
        (b" \r\n\t".to_vec(), "is empty"),
        (b"\0".to_vec(), "not the JSON"),
        (b"apiVersion: admission.k8s.io/v1\n".to_vec(), "not the JSON"),
        (b"null".to_vec(), "not the JSON"),
        (b"[]".to_vec(), "not the JSON"),
        (b"{}".to_vec(), "not an AdmissionReview"),
        (pod("irsa").to_string().into_bytes(), "not an AdmissionReview"),
        (whole.replacen("\"AdmissionReview\"", "\"Review\"", 1).into_bytes(), "not an Admission"),
        (whole.replacen("k8s.io/v1\"", "k8s.io/v2\"", 1).into_bytes(), "not an AdmissionReview"),
        (whole.replacen("\"request\"", "\"response\"", 1).into_bytes(), "no request"),
        (whole.replacen(UID, "", 1).into_bytes(), "no request"),
        (whole.replacen(&format!("\"{UID}\""), "7", 1).into_bytes(), "not the JSON"),
        (format!("{whole}{whole}").into_bytes(), "not the JSON"),
        (format!("{whole}]").into_bytes(), "not the JSON"),
        (format!("\u{feff}{whole}").into_bytes(), "not the JSON"),
        (whole.encode_utf16().flat_map(u16::to_le_bytes).collect(), "not the JSON"),
        (whole.replacen("\"kind\"", "\"kind\":\"AdmissionReview\",\"kind\"", 1).into(), "not the"),
    ];
    let mut latin = whole.clone().into_bytes();
    let at = whole.find("app-").unwrap();
    latin[at] = 0xe9;
    bodies.push((latin, "not the JSON"));
    for path in [LENIENT, STRICT] {
        for (body, why) in &bodies {
            let answer = world.post(path, body.clone()).await;
            one_sentence(&answer, StatusCode::BAD_REQUEST);
            assert!(answer.text().contains(why), "{:?}: {}", answer.text(), body.escape_ascii());
        }
    }
    let decided = "pod_identity_webhook_decisions_total";
    let metrics = world.get_metrics("/metrics").await.text();
    assert!(!metrics.contains(&format!("{decided}{{")), "a decision on what is no review");
}

/// Wherever it was cut off.
#[tokio::test(start_paused = true)]
async fn a_truncated_review_is_refused() {
    let world = World::new().await;
    let whole = v1(&pod("irsa"));
    for length in 1..whole.len() {
        let answer = world.post(LENIENT, whole[..length].to_owned()).await;
        one_sentence(&answer, StatusCode::BAD_REQUEST);
        assert!(answer.text().contains("line 1, column"), "{}", answer.text());
    }
    assert_eq!(world.post(LENIENT, whole).await.response("v1")["allowed"], true);
}

#[tokio::test(start_paused = true)]
async fn only_post_and_only_json() {
    let world = World::new().await;
    let review = v1(&pod("irsa"));
    for path in [LENIENT, STRICT] {
        for method in [Method::GET, Method::HEAD, Method::PUT, Method::PATCH, Method::DELETE] {
            let json = Some("application/json");
            let answer = world.call(request(method, path, json, review.clone().into())).await;
            assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(answer.headers["allow"], "POST");
        }
        for content_type in [None, Some("text/plain"), Some("application/yaml"), Some("json")] {
            let post = request(Method::POST, path, content_type, review.clone().into());
            one_sentence(&world.call(post).await, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        }
        for content_type in ["application/json", "Application/JSON; charset=utf-8"] {
            let post = request(Method::POST, path, Some(content_type), review.clone().into());
            assert_eq!(world.call(post).await.response("v1")["allowed"], true);
        }
    }
}

/// N22: too large is too large, said beforehand or not; one byte less is not.
#[tokio::test(start_paused = true)]
async fn a_body_over_20_mib_is_refused() {
    let world = World::new().await;
    assert_eq!(MAX_BODY, 20 * MIB);
    for path in [LENIENT, STRICT] {
        let unread =
            Body::from_stream(stream::poll_fn(|_| -> std::task::Poll<Option<Result<Bytes, _>>> {
                std::task::Poll::Ready(Some(Err(std::io::Error::other("nobody was to read this"))))
            }));
        let mut declared = request(Method::POST, path, Some("application/json"), unread);
        let length = (MAX_BODY + 1).to_string().parse().unwrap();
        declared.headers_mut().insert("content-length", length);
        one_sentence(&world.call(declared).await, StatusCode::PAYLOAD_TOO_LARGE);

        let mib = Bytes::from(vec![b' '; MIB]);
        one_sentence(&world.post(path, chunked(21, &mib)).await, StatusCode::PAYLOAD_TOO_LARGE);
        one_sentence(&world.post(path, chunked(20, &mib)).await, StatusCode::BAD_REQUEST);

        let mut whole = v1(&pod("irsa"));
        whole.extend(std::iter::repeat_n(' ', MAX_BODY - whole.len()));
        assert_eq!(world.post(path, whole.clone()).await.response("v1")["allowed"], true);
        whole.push(' ');
        one_sentence(&world.post(path, whole).await, StatusCode::PAYLOAD_TOO_LARGE);
    }
    assert_eq!(world.post(LENIENT, v1(&pod("irsa"))).await.response("v1")["allowed"], true);
}

/// N22: a body that does not come is given up.
#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_given_up() {
    let world = World::new().await;
    let stalls = || {
        let first = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"{\"kind\":"))]);
        Body::from_stream(futures::StreamExt::chain(first, stream::pending()))
    };
    let began = Instant::now();
    one_sentence(&world.post(LENIENT, stalls()).await, StatusCode::REQUEST_TIMEOUT);
    assert!(began.elapsed() <= Duration::from_secs(10), "{:?}", began.elapsed());

    let breaks = stream::iter([
        Ok(Bytes::from_static(b"{\"kind\":")),
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
    ]);
    let answer = world.post(LENIENT, Body::from_stream(breaks)).await;
    one_sentence(&answer, StatusCode::BAD_REQUEST);
}

/// Where there is no room for another large body, small ones still pass.
#[tokio::test(start_paused = true)]
async fn large_bodies_wait_and_small_ones_pass() {
    let budget = Budget::new(SMALL_LANE, MIB);
    let flags = Flags { budget: budget.clone(), ..Flags::default() };
    let world = World::synced(flags, not_found).await;
    let length = MIB + SMALL_BODY;
    let stalls = || Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
    // The whole of the large lane, for longer than anybody waits.
    let declared = Some(u64::try_from(length).unwrap());
    let holds = budget.read_body(stalls(), declared, MAX_BODY, Duration::from_secs(30));
    let large = async {
        let mut post = request(Method::POST, LENIENT, Some("application/json"), stalls());
        post.headers_mut().insert("content-length", length.into());
        world.call(post).await
    };
    let small = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.post(LENIENT, v1(&pod("irsa"))).await
    };
    let (holds, large, small) = tokio::join!(holds, large, small);
    assert_eq!(small.response("v1")["allowed"], true);
    one_sentence(&large, StatusCode::SERVICE_UNAVAILABLE);
    drop(holds);
    assert_eq!(budget.in_use(), 0, "what was paid is given back");
}

/// Depth is no danger: what is not read is not descended into.
#[tokio::test(start_paused = true)]
async fn deeply_nested_json_is_answered() {
    let world = World::new().await;
    let levels = 100_000;
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{}1{}", open.repeat(levels), close.repeat(levels));
        // A field of tomorrow.
        let unknown = with_part(&format!("\"tomorrow\":{deep}"));
        let response = world.post(LENIENT, unknown).await.response("v1");
        assert!(!patch(&response).is_empty());
        // In place of something that is read.
        let known = with_part(&format!("\"volumes\":{deep}"));
        let response = world.post(LENIENT, known).await.response("v1");
        assert!(warning(&response).starts_with("unreadable-pod: "), "{response}");
        // In the envelope, and in place of it.
        let beside =
            v1(&pod("irsa")).replacen("\"dryRun\":false", &format!("\"userInfo2\":{deep}"), 1);
        assert_eq!(world.post(LENIENT, beside).await.response("v1")["allowed"], true);
        one_sentence(&world.post(LENIENT, deep).await, StatusCode::BAD_REQUEST);
        let unclosed = open.repeat(levels);
        one_sentence(&world.post(LENIENT, unclosed).await, StatusCode::BAD_REQUEST);
    }
}

/// API servers never send the same key twice; whoever does is not understood, and not denied.
#[tokio::test(start_paused = true)]
async fn a_key_that_stands_twice_makes_a_pod_unreadable() {
    let world = World::new().await;
    let twice = with_part("\"serviceAccountName\":\"plain\"");
    let response = world.post(LENIENT, twice.clone()).await.response("v1");
    assert!(warning(&response).starts_with("unreadable-pod: "), "{response}");
    assert_eq!(world.post(STRICT, twice).await.response("v1")["status"]["code"], 400);
    // Where it is not read, it does not matter.
    let unread = with_part("\"tomorrow\":1,\"tomorrow\":2");
    let response = world.post(LENIENT, unread).await.response("v1");
    assert!(!patch(&response).is_empty());
}

#[tokio::test(start_paused = true)]
async fn huge_maps_are_answered() {
    let world = World::new().await;
    let map = |value: &str| {
        let mut map = String::from("{");
        for n in 0..200_000 {
            write!(map, "\"example.com/key-{n}\":{value},").unwrap();
        }
        map.push_str("\"last\":\"\"}");
        map
    };
    let review = v1(&pod("irsa"));
    let strings = map("\"x\"");
    let huge = review.replacen(
        "\"metadata\":{",
        &format!("\"metadata\":{{\"annotations\":{strings},\"labels\":{strings},"),
        1,
    );
    let response = world.post(LENIENT, huge).await.response("v1");
    assert!(!patch(&response).is_empty());
    let huge = with_part(&format!("\"nodeSelector\":{strings},\"tomorrow\":{}", map("[{}]")));
    let response = world.post(LENIENT, huge).await.response("v1");
    assert!(!patch(&response).is_empty());
    let beside = review.replacen("\"request\":{", &format!("\"a\":{strings},\"request\":{{"), 1);
    assert_eq!(world.post(LENIENT, beside).await.response("v1")["allowed"], true);
}

#[tokio::test(start_paused = true)]
async fn a_pod_of_ten_thousand_containers_is_injected() {
    let world = World::new().await;
    for account in ["irsa", "agent"] {
        let mut pod = pod(account);
        let container = |n: usize| json!({"name": format!("c{n}"), "image": "app"});
        pod["spec"]["containers"] = (0..10_000).map(container).collect();
        let response = world.post(STRICT, v1(&pod)).await.response("v1");
        apply(&response, &mut pod);
        let whole = |container: &Value| {
            container["env"].as_array().unwrap().len() >= 2
                && container["volumeMounts"].as_array().unwrap().len() == 1
        };
        assert!(pod["spec"]["containers"].as_array().unwrap().iter().all(whole));
        let again = world.post(STRICT, v1(&pod)).await.response("v1");
        assert!(again.get("patch").is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_legal_pod_of_15_mib_is_injected() {
    let world = World::new().await;
    let mut pod = pod("irsa");
    let args: Vec<_> = (0..15).map(|n| n.to_string().repeat(MIB / 2)).collect();
    pod["spec"]["containers"][0]["args"] = json!(args);
    pod["spec"]["containers"][0]["env"] =
        (0..1_000).map(|n| json!({"name": format!("E{n}"), "value": "x".repeat(6_000)})).collect();
    let review = v1(&pod);
    assert!(review.len() > 15 * MIB && review.len() < MAX_BODY, "{}", review.len());
    for path in [LENIENT, STRICT] {
        let response = world.post(path, review.clone()).await.response("v1");
        let patch = patch(&response);
        assert_eq!(patch.len(), 4, "{patch:?}");
    }
}
