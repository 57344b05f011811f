//! Loopback ports for servers that cannot be told to choose their own.
//!
//! Ports come from below the range that the kernel gives to outgoing connections, so that nobody's
//! client socket takes one while its server is being restarted, and no two calls in this process
//! name the same one. Another process may still be faster: who starts a server must be ready to
//! try again with another port.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    net::{Ipv4Addr, TcpListener},
    sync::{
        LazyLock,
        atomic::{AtomicU16, Ordering},
    },
};

use anyhow::{Result, bail};

/// Where the kernel's ephemeral ports begin on Linux (`ip_local_port_range`).
const EPHEMERAL: u16 = 32_768;
/// Below this, well-known servers live.
const LOWEST: u16 = 12_000;

/// The next candidate. It starts anywhere, so that processes side by side rarely meet.
static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| {
    let anywhere = RandomState::new().hash_one("ports").to_le_bytes();
    AtomicU16::new(u16::from_le_bytes([anywhere[0], anywhere[1]]))
});

/// A loopback port on which nobody listens at this moment.
pub(crate) fn free_port() -> Result<u16> {
    for _ in 0..1_000 {
        let port = LOWEST + NEXT.fetch_add(1, Ordering::Relaxed) % (EPHEMERAL - LOWEST);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no loopback port between {LOWEST} and {EPHEMERAL} is free")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_named_twice() {
        let mut ports: Vec<_> = (0..50).map(|_| free_port().unwrap()).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 50);
    }
}
