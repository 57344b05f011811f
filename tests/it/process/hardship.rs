//! Hard times: clients that dawdle, clients in thousands, bodies that fill the memory.
//!
//! A good client is served all the while, and afterwards everything is as it was. The memory that
//! the process ever had is read from `/proc`, where the kernel keeps its high-water mark.

use std::io;
use std::time::Instant;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};
use tokio_rustls::TlsConnector;

use super::tls::{self, Connection};
use super::*;
use crate::plane::alone;

/// Between two bytes of a client that dawdles.
const DAWDLE: Duration = Duration::from_millis(250);

/// How long a good client waits for an answer at most: less than an API server does.
const PATIENCE: Duration = Duration::from_secs(9);

const MIB: usize = 1024 * 1024;

/// The connections of clients that do nothing.
const IDLE: usize = 2_000;

/// The most that the process may ever have had, in MiB: 160 for the bodies that are read at once
/// (both lanes), as much again while their buffers grow, and 80 for the binary, its threads and TLS.
const MOST_MEMORY: usize = 400;

impl Running {
    fn client(&self) -> TlsConnector {
        tls::client(self.webhook.authority().der(), rustls::ALL_VERSIONS)
    }

    /// A field of the process's status, in MiB.
    fn memory(&self, field: &str) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.webhook.pid()));
        let status = status.unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        let kib: usize = line.trim_matches([':', ' ', '\t', 'k', 'B']).parse().unwrap();
        kib / 1024
    }

    /// Sends a review on a new connection, and tells how long the answer took.
    async fn good_call(&self, client: &TlsConnector) -> Duration {
        let began = Instant::now();
        let call = async {
            let mut connection = tls::dial(self.address(), client).await?;
            send(&mut connection, &review("irsa")).await?;
            read_status(&mut connection).await
        };
        let status = timeout(SOON, call).await.expect("no answer").unwrap();
        assert_eq!(status, Some(200));
        began.elapsed()
    }

    /// It is as it was.
    async fn is_well(&self) {
        let client = self.client();
        let took = self.good_call(&client).await;
        assert!(took < PATIENCE, "{took:?}");
        assert_eq!(self.readiness().await.0, StatusCode::OK);
        let response = self.review("/mutate/strict", "agent").await;
        assert!(response["patch"].is_string(), "{response}");
    }
}

/// The head of a call with a body of this length.
fn head(length: usize) -> String {
    format!(
        "POST /mutate?timeout=10s HTTP/1.1\r\nHost: webhook\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
}

async fn send(connection: &mut Connection, body: &[u8]) -> io::Result<()> {
    connection.write_all(head(body.len()).as_bytes()).await?;
    connection.write_all(body).await?;
    connection.flush().await
}

/// The status of an answer; none if the connection ends without one.
async fn read_status(connection: &mut (impl AsyncReadExt + Unpin)) -> io::Result<Option<u16>> {
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while answer.len() < 12 {
        match connection.read(&mut buffer).await? {
            0 => return Ok(None),
            read => answer.extend_from_slice(&buffer[..read]),
        }
    }
    let status = answer.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.get(..3));
    Ok(status.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok()))
}

/// Sends a byte now and then, for ever, until the server has answered or ended the connection.
async fn dawdle(connection: Connection, bytes: &'static [u8]) -> (Option<u16>, Duration) {
    let began = Instant::now();
    let (mut read, mut write) = tokio::io::split(connection);
    let writes = async move {
        let mut ticks = interval(DAWDLE);
        for byte in bytes.iter().cycle() {
            ticks.tick().await;
            if write.write_all(&[*byte]).await.is_err() || write.flush().await.is_err() {
                // The server has ended the connection: what it said before is still to be read.
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let end = tokio::select! {
        status = read_status(&mut read) => status.ok().flatten(),
        () = writes => unreachable!("it never ends"),
    };
    (end, began.elapsed())
}

/// N22: slow heads, slow bodies and those who say nothing at all are ended in bounded time.
#[tokio::test]
async fn those_who_dawdle_are_ended_and_others_served() {
    let _alone = alone().await;
    let running = Running::ready(&[]).await;
    let client = running.client();
    let mut slow = JoinSet::new();
    for n in 0..30 {
        let mut connection = tls::dial(running.address(), &client).await.unwrap();
        slow.spawn(async move {
            match n % 3 {
                // One byte of a head now and then.
                0 => (Some(n), dawdle(connection, b"X-Header: slow\r\n").await),
                // One byte of a body now and then.
                1 => {
                    connection.write_all(head(100_000).as_bytes()).await.unwrap();
                    (Some(n), dawdle(connection, b" ").await)
                }
                // Nothing.
                _ => {
                    let began = Instant::now();
                    let end = read_status(&mut connection).await.ok().flatten();
                    (Some(n), (end, began.elapsed()))
                }
            }
        });
        // And those who do not even shake hands.
        let mut silent = TcpStream::connect(running.address()).await.unwrap();
        slow.spawn(async move {
            let began = Instant::now();
            let end = read_status(&mut silent).await.ok().flatten();
            (None, (end, began.elapsed()))
        });
    }
    let mut calls = 0;
    let ended = async {
        let mut ended = Vec::new();
        while let Some(one) = slow.join_next().await {
            ended.push(one.unwrap());
        }
        ended
    };
    let mut ended = std::pin::pin!(timeout(Duration::from_secs(80), ended));
    let mut ticks = interval(DAWDLE);
    let ended = loop {
        tokio::select! {
            ended = &mut ended => break ended.expect("somebody dawdles to this day"),
            _ = ticks.tick() => {
                let took = running.good_call(&client).await;
                assert!(took < PATIENCE, "a good client waited for {took:?}");
                calls += 1;
            }
        }
    };
    assert!(calls >= 5, "{calls} good calls");
    assert_eq!(ended.len(), 60);
    for (n, (status, took)) in ended {
        // Ten seconds, and what a busy machine adds.
        assert!(took < Duration::from_mins(1), "{n:?} took {took:?}");
        let answered = matches!(n, Some(n) if n % 3 == 1);
        assert_eq!(status, answered.then_some(408), "{n:?}");
    }
    running.is_well().await;
}

/// Connections that only sit there cost little and keep nobody out.
#[tokio::test]
async fn two_thousand_idle_connections_keep_nobody_out() {
    let wanted = u64::try_from(IDLE).unwrap() + 500;
    let (_, hard) = rlimit::getrlimit(rlimit::Resource::NOFILE).unwrap();
    if hard < wanted {
        eprintln!(
            "two_thousand_idle_connections_keep_nobody_out is skipped: \
             it needs {wanted} open files, and the hard limit is {hard}"
        );
        return;
    }
    let _alone = alone().await;
    rlimit::increase_nofile_limit(wanted).unwrap();
    let running = Running::ready(&[]).await;
    let client = running.client();
    let mut idle = Vec::with_capacity(IDLE / 2);
    let mut silent = Vec::with_capacity(IDLE / 2);
    for _ in 0..IDLE / 2 {
        // A client that has been served, and keeps its connection, as API servers do.
        let mut connection = tls::dial(running.address(), &client).await.unwrap();
        send(&mut connection, &review("irsa")).await.unwrap();
        assert_eq!(read_status(&mut connection).await.unwrap(), Some(200));
        idle.push(connection);
    }
    for _ in 0..IDLE / 2 {
        silent.push(TcpStream::connect(running.address()).await.unwrap());
    }
    for _ in 0..20 {
        let took = running.good_call(&client).await;
        assert!(took < PATIENCE, "a good client waited for {took:?}");
    }
    let memory = running.memory("VmHWM");
    println!("with {IDLE} idle connections: {memory} MiB");
    assert!(memory < MOST_MEMORY, "{memory} MiB");
    // Those that were served are still there, and served again.
    for connection in idle.iter_mut().step_by(100) {
        send(connection, &review("agent")).await.unwrap();
        assert_eq!(read_status(connection).await.unwrap(), Some(200));
    }
    drop((idle, silent));
    running.is_well().await;
}

/// N22: forty bodies of 19 MiB at once are all answered, and never all in memory.
#[tokio::test]
async fn forty_bodies_of_19_mib_at_once_are_answered_in_bounded_memory() {
    let _alone = alone().await;
    let running = Running::ready(&[]).await;
    let client = running.client();
    let args = vec!["x".repeat(MIB); 19];
    let spec = json!({"serviceAccountName": "irsa", "containers": [{"name": "app", "args": args}]});
    let body = Bytes::from(review_of(&spec));
    assert!(body.len() > 19 * MIB && body.len() < 20 * MIB, "{}", body.len());
    let mut calls = JoinSet::new();
    for _ in 0..40 {
        let (client, body) = (client.clone(), body.clone());
        let address = running.address().to_owned();
        calls.spawn(async move {
            let connection = tls::dial(&address, &client).await.unwrap();
            let (mut read, mut write) = tokio::io::split(connection);
            let writes = async move {
                let head = head(body.len());
                let sent = async {
                    write.write_all(head.as_bytes()).await?;
                    write.write_all(&body).await?;
                    write.flush().await
                };
                // An answer may come before all was sent, and end the connection.
                drop(sent.await);
                std::future::pending::<()>().await;
            };
            tokio::select! {
                status = read_status(&mut read) => status.ok().flatten(),
                () = writes => unreachable!("it never ends"),
            }
        });
    }
    let all = async {
        let mut statuses = Vec::new();
        while let Some(status) = calls.join_next().await {
            statuses.push(status.unwrap());
        }
        statuses
    };
    let mut all = std::pin::pin!(timeout(Duration::from_mins(2), all));
    let mut good = Vec::new();
    let mut ticks = interval(DAWDLE);
    let statuses = loop {
        tokio::select! {
            statuses = &mut all => break statuses.expect("some were never answered"),
            _ = ticks.tick() => good.push(running.good_call(&client).await),
        }
    };
    let memory = running.memory("VmHWM");
    let count = |wanted| statuses.iter().filter(|status| **status == Some(wanted)).count();
    let [ok, slow, busy] = [200, 408, 503].map(count);
    let slowest = good.iter().max().copied().unwrap_or_default();
    println!(
        "forty bodies: {ok} answered 200, {slow} 408, {busy} 503; {memory} MiB; {} small calls \
         meanwhile, the slowest took {slowest:?}",
        good.len()
    );
    assert_eq!(ok + slow + busy, 40, "{statuses:?}");
    assert!(ok >= 1, "{statuses:?}");
    assert!(memory < MOST_MEMORY, "{memory} MiB");
    running.is_well().await;
}
