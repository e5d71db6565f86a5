//! Ports for whoever cannot be told to take any that is free.

use std::{
    net::{SocketAddr, TcpListener},
    sync::atomic::{AtomicU16, Ordering},
};

/// An address on loopback that nobody has, and that no other call in this process gives: of a port
/// that no outgoing connection takes (those begin at 32,768), so that it stays free while whoever
/// is to listen there is down.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = u16::try_from(std::process::id() % 1_000).unwrap() * 20;
    loop {
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        let port = 11_000 + (begin + number) % 20_000;
        if let Ok(socket) = TcpListener::bind(("127.0.0.1", port)) {
            return socket.local_addr().unwrap();
        }
    }
}
