//! Load balancers that ask the gate about each request: every question as that load balancer sends
//! it, over real sockets, and every answer as it understands one.

#![cfg(test)]

mod asking;
mod forged;
mod links;
mod passing;
mod refusing;
#[path = "../support/mod.rs"]
mod support;
