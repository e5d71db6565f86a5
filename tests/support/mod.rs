//! What the integration tests share: HTTP clients that send exactly what they are told, and a
//! real browser.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "every test binary compiles this room for itself and uses a part of it"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is test code, which clippy only recognises inside a #[test]"
)]

pub mod altered;
pub mod browser;
pub mod certificates;
pub mod demo;
pub mod dice;
pub mod frames;
pub mod gate;
pub mod http;
pub mod installed;
pub mod link_page;
pub mod logs;
pub mod panel;
pub mod ports;
pub mod process;
pub mod service;
pub mod tokens;
pub mod upstream;
pub mod vendors;
pub mod villain;
pub mod websocket;
pub mod wire;
