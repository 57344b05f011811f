//! Tests of the connections and of the loop. Time limits are tested without sockets, on a paused
//! clock; the loop on loopback.

use std::{convert::Infallible, future::pending, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    net::TcpStream,
    sync::Notify,
    task::JoinSet,
    time::Instant,
};

use super::{
    Bound, Drain, Drained, Limits, Phase, Settings, Shutdown, Transport, affordable,
    calls::InFlight,
    connection::{self, Context, End},
    progress::{Progress, Stage},
};

const REQUEST: &[u8] = b"POST /mutate HTTP/1.1\r\nHost: webhook\r\nContent-Length: 0\r\n\r\n";

type Answer = Result<Response<Full<Bytes>>, Infallible>;

async fn ok(_request: Request<Incoming>) -> Answer {
    Ok(Response::new(Full::from("done")))
}

/// A connection without a socket that is being served, and the client's end of it.
fn connected<F, R>(service: F, drain: Drain) -> (DuplexStream, JoinSet<End>)
where
    F: FnMut(Request<Incoming>) -> R + Clone + Send + 'static,
    R: Future<Output = Answer> + Send + 'static,
{
    let (client, server) = duplex(1024);
    let context = Context {
        service: tower::service_fn(service),
        limits: Limits::default(),
        drain,
        in_flight: InFlight::default(),
    };
    let mut tasks = JoinSet::new();
    let progress = Arc::new(Progress::new());
    tasks.spawn(connection::serve(server, Transport::Plain, context, progress));
    (client, tasks)
}

async fn end(tasks: &mut JoinSet<End>) -> End {
    tasks.join_next().await.unwrap().unwrap()
}

/// Reads one answer, of head and declared body.
async fn answer(client: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return text;
            }
        }
        let mut buffer = [0; 4096];
        let count = client.read(&mut buffer).await.unwrap();
        assert!(count > 0, "connection ended in the middle of {text:?}");
        read.extend_from_slice(&buffer[..count]);
    }
}

// === time limits ===

/// field.md N22.
#[tokio::test(start_paused = true)]
async fn a_connection_that_never_says_anything_is_ended() {
    let shutdown = Shutdown::new();
    let (_client, mut tasks) = connected(ok, shutdown.drain());
    let began = Instant::now();
    assert!(matches!(end(&mut tasks).await, End::TooSlow(Stage::Silent)));
    assert_eq!(began.elapsed().as_secs(), 10);
}

/// field.md N22: slow loris.
#[tokio::test(start_paused = true)]
async fn headers_that_drip_are_not_waited_for() {
    let shutdown = Shutdown::new();
    let (mut client, mut tasks) = connected(ok, shutdown.drain());
    tokio::time::sleep(Duration::from_secs(5)).await;
    let began = Instant::now();
    let drip = async {
        for byte in REQUEST {
            let _gone = client.write_all(&[*byte]).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::select! {
        end = end(&mut tasks) => assert!(matches!(end, End::TooSlow(Stage::Head)), "{end:?}"),
        () = drip => panic!("a head that takes a minute was waited for"),
    }
    assert_eq!(began.elapsed().as_secs(), 10);
}

/// API servers end idle connections after 90 s; a request that crosses our close would be lost.
#[tokio::test(start_paused = true)]
async fn an_idle_connection_outlives_the_api_servers_own_limit() {
    let shutdown = Shutdown::new();
    let (mut client, mut tasks) = connected(ok, shutdown.drain());
    for _ in 0..3 {
        client.write_all(REQUEST).await.unwrap();
        let answer = answer(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(!answer.contains("connection: close"), "{answer}");
        tokio::time::sleep(Duration::from_secs(200)).await;
    }
    assert!(matches!(end(&mut tasks).await, End::TooSlow(Stage::Idle)));
}

#[tokio::test(start_paused = true)]
async fn the_second_requests_head_has_the_same_limit_as_the_first() {
    let shutdown = Shutdown::new();
    let (mut client, mut tasks) = connected(ok, shutdown.drain());
    client.write_all(REQUEST).await.unwrap();
    answer(&mut client).await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    let began = Instant::now();
    client.write_all(b"POST /mut").await.unwrap();
    assert!(matches!(end(&mut tasks).await, End::TooSlow(Stage::Head)));
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_reads_is_ended() {
    let shutdown = Shutdown::new();
    let large = |_| async { Ok(Response::new(Full::from(vec![b'x'; 1024 * 1024]))) };
    let (mut client, mut tasks) = connected(large, shutdown.drain());
    client.write_all(REQUEST).await.unwrap();
    let began = Instant::now();
    assert!(matches!(end(&mut tasks).await, End::TooSlow(Stage::Answer)));
    assert_eq!(began.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_too_long_is_answered_503_and_closed() {
    let shutdown = Shutdown::new();
    let (mut client, mut tasks) = connected(|_| pending(), shutdown.drain());
    let began = Instant::now();
    client.write_all(REQUEST).await.unwrap();
    let answer = answer(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("connection: close"), "{answer}");
    assert_eq!(began.elapsed().as_secs(), 30);
    drop(client);
    assert!(matches!(end(&mut tasks).await, End::Done));
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_stops_is_not_waited_for() {
    let (mut client, server) = duplex(1024);
    let (config, _trusted) = crate::tls::tests::config();
    let context = Context {
        service: tower::service_fn(ok),
        limits: Limits::default(),
        drain: Shutdown::new().drain(),
        in_flight: InFlight::default(),
    };
    client.write_all(&[0x16, 0x03, 0x01]).await.unwrap();
    let began = Instant::now();
    let transport = Transport::Tls(config.into());
    let end = connection::serve(server, transport, context, Arc::new(Progress::new())).await;
    assert!(matches!(end, End::HandshakeTooSlow), "{end:?}");
    assert_eq!(began.elapsed().as_secs(), 10);
}

struct Guard(Arc<Notify>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_ends_its_call() {
    let shutdown = Shutdown::new();
    let dropped = Arc::new(Notify::new());
    let begun = Arc::new(Notify::new());
    let service = {
        let (begun, dropped) = (Arc::clone(&begun), Arc::clone(&dropped));
        move |_| {
            let guard = Guard(Arc::clone(&dropped));
            begun.notify_one();
            async move {
                let _guard = guard;
                pending().await
            }
        }
    };
    let (mut client, mut tasks) = connected(service, shutdown.drain());
    client.write_all(REQUEST).await.unwrap();
    begun.notified().await;
    drop(client);
    dropped.notified().await;
    assert!(matches!(end(&mut tasks).await, End::Broken(_)));
}

// === stopping ===

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_when_refusing() {
    let shutdown = Shutdown::new();
    let (mut client, mut tasks) = connected(ok, shutdown.drain());
    client.write_all(REQUEST).await.unwrap();
    answer(&mut client).await;
    shutdown.advance(Phase::Refusing);
    assert_eq!(client.read(&mut [0; 16]).await.unwrap(), 0);
    drop(client);
    assert!(matches!(end(&mut tasks).await, End::Done));
}

/// field.md N23: what an API server has begun to send is not thrown away.
#[tokio::test(start_paused = true)]
async fn a_request_that_is_coming_in_while_refusing_is_answered() {
    for known in [false, true] {
        let shutdown = Shutdown::new();
        let (mut client, mut tasks) = connected(ok, shutdown.drain());
        if known {
            client.write_all(REQUEST).await.unwrap();
            answer(&mut client).await;
        }
        let (first, rest) = REQUEST.split_at(12);
        client.write_all(first).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
        shutdown.advance(Phase::Refusing);
        tokio::time::sleep(Duration::from_millis(500)).await;
        client.write_all(rest).await.unwrap();
        let answer = answer(&mut client).await;
        assert!(answer.contains("connection: close"), "known: {known}, {answer}");
        drop(client);
        assert!(matches!(end(&mut tasks).await, End::Done));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stranger_does_not_hold_up_the_end() {
    let shutdown = Shutdown::new();
    let (_client, mut tasks) = connected(ok, shutdown.drain());
    tokio::time::sleep(Duration::from_millis(1)).await;
    shutdown.advance(Phase::Refusing);
    let began = Instant::now();
    assert!(matches!(end(&mut tasks).await, End::TooSlow(Stage::Silent)));
    assert_eq!(began.elapsed().as_secs(), 2);
}

#[test]
fn phases_only_go_forward_and_a_lost_signal_refuses() {
    let shutdown = Shutdown::new();
    let drain = shutdown.drain();
    assert_eq!(drain.phase(), Phase::Serving);
    shutdown.advance(Phase::Closing);
    shutdown.advance(Phase::Serving);
    assert_eq!(drain.phase(), Phase::Closing);
    drop(shutdown);
    assert_eq!(drain.phase(), Phase::Refusing);
}

// === the loop, on loopback ===

async fn bound(connections: usize) -> Bound {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let settings = Settings { connections, ..Settings::new(address, Transport::Plain) };
    settings.bind().await.unwrap()
}

fn running<F, R>(bound: Bound, service: F, drain: Drain) -> JoinSet<Drained>
where
    F: FnMut(Request<Incoming>) -> R + Clone + Send + 'static,
    R: Future<Output = Answer> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    tasks.spawn(bound.run(tower::service_fn(service), drain));
    tasks
}

/// field.md F9, N23.
#[tokio::test]
async fn a_call_in_flight_survives_the_end_and_no_new_one_gets_in() {
    let shutdown = Shutdown::new();
    let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let service = {
        let (begun, go) = (Arc::clone(&begun), Arc::clone(&go));
        move |request| {
            let (begun, go) = (Arc::clone(&begun), Arc::clone(&go));
            async move {
                begun.notify_one();
                go.notified().await;
                ok(request).await
            }
        }
    };
    let bound = bound(16).await;
    let address = bound.local_addr();
    let mut server = running(bound, service, shutdown.drain());
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(REQUEST).await.unwrap();
    begun.notified().await;

    shutdown.advance(Phase::Refusing);
    // The listener is closed as soon as the loop has seen the signal.
    let refused = async { while TcpStream::connect(address).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(10), refused).await.unwrap();

    go.notify_one();
    let answer = answer(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{answer}");
    assert_eq!(client.read(&mut [0; 16]).await.unwrap(), 0);
    drop(client);
    let drained = server.join_next().await.unwrap().unwrap();
    assert_eq!(drained, Drained { cut_calls: 0, cut_connections: 0 });
}

/// field.md N23: Tokio has not heard of these connections yet, and closing the listener would reset
/// them.
#[tokio::test]
async fn who_is_in_the_backlog_when_the_end_comes_is_served() {
    let shutdown = Shutdown::new();
    let bound = bound(512).await;
    let address = bound.local_addr();
    let mut clients: Vec<_> =
        (0..20).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
    for client in &mut clients {
        std::io::Write::write_all(client, REQUEST).unwrap();
    }
    shutdown.advance(Phase::Refusing);
    let mut server = running(bound, ok, shutdown.drain());
    for client in clients {
        client.set_nonblocking(true).unwrap();
        let mut client = TcpStream::from_std(client).unwrap();
        assert!(answer(&mut client).await.starts_with("HTTP/1.1 200"));
    }
    let drained = server.join_next().await.unwrap().unwrap();
    assert_eq!(drained, Drained { cut_calls: 0, cut_connections: 0 });
}

/// field.md N23.
#[tokio::test]
async fn closing_serves_everyone_and_ends_each_connection() {
    let shutdown = Shutdown::new();
    let bound = bound(16).await;
    let address = bound.local_addr();
    let _server = running(bound, ok, shutdown.drain());
    let mut old = TcpStream::connect(address).await.unwrap();
    old.write_all(REQUEST).await.unwrap();
    assert!(!answer(&mut old).await.contains("connection: close"));

    shutdown.advance(Phase::Closing);
    let mut new = TcpStream::connect(address).await.unwrap();
    for client in [&mut old, &mut new] {
        client.write_all(REQUEST).await.unwrap();
        let answer = answer(client).await;
        assert!(answer.contains("200 OK") && answer.contains("connection: close"), "{answer}");
        assert_eq!(client.read(&mut [0; 16]).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_panic_in_a_call_ends_only_its_connection() {
    let shutdown = Shutdown::new();
    let bound = bound(16).await;
    let address = bound.local_addr();
    let service = |request: Request<Incoming>| async move {
        assert!(request.uri().path() != "/panic", "asked for");
        ok(request).await
    };
    let _server = running(bound, service, shutdown.drain());
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET /panic HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let _reset = client.read(&mut [0; 16]).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(REQUEST).await.unwrap();
    assert!(answer(&mut client).await.starts_with("HTTP/1.1 200"));
}

/// field.md N22.
#[tokio::test]
async fn two_thousand_idle_connections_do_not_keep_a_good_client_out() {
    let shutdown = Shutdown::new();
    let bound = bound(4096).await;
    assert!(bound.connections >= 2001, "the file descriptor limit is too low for this test");
    let address = bound.local_addr();
    let _server = running(bound, ok, shutdown.drain());
    let mut idle = Vec::new();
    for _ in 0..2000 {
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(REQUEST).await.unwrap();
    assert!(answer(&mut client).await.starts_with("HTTP/1.1 200"));
}

/// field.md N22: at the cap, who has asked for nothing makes room for who does.
#[tokio::test]
async fn at_the_cap_the_silent_make_room_and_clients_are_kept() {
    let shutdown = Shutdown::new();
    let bound = bound(4).await;
    let address = bound.local_addr();
    let _server = running(bound, ok, shutdown.drain());
    let mut old = TcpStream::connect(address).await.unwrap();
    old.write_all(REQUEST).await.unwrap();
    answer(&mut old).await;
    let mut silent = Vec::new();
    for _ in 0..3 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let mut new = TcpStream::connect(address).await.unwrap();
    new.write_all(REQUEST).await.unwrap();
    // Well before the silent ones would have had to leave anyway.
    let within = Duration::from_secs(5);
    let answered = tokio::time::timeout(within, answer(&mut new)).await.unwrap();
    assert!(answered.starts_with("HTTP/1.1 200"), "{answered}");
    assert_eq!(silent[0].read(&mut [0; 16]).await.unwrap_or(0), 0, "the oldest had to leave");
    old.write_all(REQUEST).await.unwrap();
    assert!(answer(&mut old).await.starts_with("HTTP/1.1 200"));
}

/// Keeps out the reset that a close over unread bytes causes: the client would not see the answer.
#[tokio::test]
async fn an_answer_before_the_end_of_a_body_arrives() {
    let shutdown = Shutdown::new();
    let bound = bound(16).await;
    let address = bound.local_addr();
    let service = |_| async {
        let mut answer = Response::new(Full::from("too large"));
        *answer.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
        Ok(answer)
    };
    let _server = running(bound, service, shutdown.drain());
    let mut client = TcpStream::connect(address).await.unwrap();
    let body = vec![b'x'; 8 * 1024 * 1024];
    let head = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(&body).await.unwrap();
    assert!(answer(&mut client).await.starts_with("HTTP/1.1 413"));
}

/// An API server's way: TLS, several calls on one connection, and an orderly end.
#[tokio::test]
async fn tls_is_served_from_the_first_call_to_the_end() {
    let shutdown = Shutdown::new();
    let (config, trusted) = crate::tls::tests::config();
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let settings = Settings::new(address, Transport::Tls(config.into()));
    let bound = settings.bind().await.unwrap();
    let address = bound.local_addr();
    let mut server = running(bound, ok, shutdown.drain());

    let stream = TcpStream::connect(address).await.unwrap();
    let mut client = crate::tls::tests::connect(stream, trusted).await;
    for phase in [Phase::Serving, Phase::Serving, Phase::Closing] {
        shutdown.advance(phase);
        client.write_all(REQUEST).await.unwrap();
        let answer = answer(&mut client).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(answer.contains("connection: close"), phase == Phase::Closing);
    }
    // Without close_notify this would be an error.
    assert_eq!(client.read(&mut [0; 16]).await.unwrap(), 0);
    drop(client);
    shutdown.advance(Phase::Refusing);
    let drained = server.join_next().await.unwrap().unwrap();
    assert_eq!(drained, Drained { cut_calls: 0, cut_connections: 0 });
}

/// field.md, the first question: does the caBundle match the serving certificate?
#[tokio::test]
async fn a_client_that_does_not_trust_our_certificate_is_noticed() {
    let (config, _trusted) = crate::tls::tests::config();
    let (_, other) = crate::tls::tests::config();
    let context = Context {
        service: tower::service_fn(ok),
        limits: Limits::default(),
        drain: Shutdown::new().drain(),
        in_flight: InFlight::default(),
    };
    let (client, server) = duplex(64 * 1024);
    let transport = Transport::Tls(config.into());
    let (end, refused) = tokio::join!(
        connection::serve(server, transport, context, Arc::new(Progress::new())),
        crate::tls::tests::try_connect(client, other),
    );
    refused.unwrap_err();
    assert_eq!(end.refusal(), Some(connection::Refusal::Ours), "{end:?}");
}

#[tokio::test]
async fn what_is_not_http_11_is_answered_400() {
    let shutdown = Shutdown::new();
    let bound = bound(16).await;
    let address = bound.local_addr();
    let _server = running(bound, ok, shutdown.drain());
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"\x16\x03\x01 nonsense\r\n\r\n").await.unwrap();
    assert!(answer(&mut client).await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn a_drain_that_does_not_end_is_cut_off() {
    let shutdown = Shutdown::new();
    let begun = Arc::new(Notify::new());
    let service = {
        let begun = Arc::clone(&begun);
        move |_| {
            begun.notify_one();
            pending()
        }
    };
    let bound = bound(16).await;
    let bound = Bound { limits: Limits { drain: Duration::ZERO, ..Limits::default() }, ..bound };
    let address = bound.local_addr();
    let mut server = running(bound, service, shutdown.drain());
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(REQUEST).await.unwrap();
    begun.notified().await;
    shutdown.advance(Phase::Refusing);
    let drained = server.join_next().await.unwrap().unwrap();
    assert_eq!(drained, Drained { cut_calls: 1, cut_connections: 1 });
}

#[test]
fn the_cap_leaves_file_descriptors_for_the_rest() {
    assert_eq!(affordable(4096, None), 4096);
    assert_eq!(affordable(4096, Some(1_048_576)), 4096);
    assert_eq!(affordable(4096, Some(1024)), 768);
    assert_eq!(affordable(4096, Some(256)), 64);
    assert_eq!(affordable(4096, Some(0)), 1);
}
