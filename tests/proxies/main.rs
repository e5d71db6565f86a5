//! Real load balancers before, beside and around a gate, with the very files of `deploy/`.
//!
//! - [`stand`]: a gate's process, the sample application, a load balancer between them and their
//!   visitors; [`visitor`] asks over TLS what a test tells it to, and is recognised by its cookies.
//! - [`scenario`]: what must hold behind every one of them, in every form.
//! - One module a load balancer: how it is started, and what holds for it alone.

#![cfg(test)]

mod application;
mod balancer;
mod caddy;
mod certificate;
mod deployed;
mod envoy;
mod haproxy;
mod nginx;
mod scenario;
mod stand;
#[path = "../support/mod.rs"]
mod support;
mod traefik;
mod traefik_asks;
mod visitor;
