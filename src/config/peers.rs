//! `once.peers`: the other gates, each with a memory of its own.

use crate::{
    config::{
        raw::{Node, quoted},
        reader::{Reading, Section},
        units,
    },
    gate::origin::Origin,
};

/// Another gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its `gate.name`, which its tokens bear.
    pub name: String,
    /// Its public listener, as this gate reaches it.
    pub origin: Origin,
}

/// Reads `peers` of `[once]`.
pub(super) fn read(section: &mut Section<'_>) -> Vec<Peer> {
    let peer = |name: &str, node: &Node| {
        if units::is_name(name) {
            Ok(Peer { name: name.to_owned(), origin: origin(node)? })
        } else {
            Err("is not the name of a gate, of a-z, 0-9 and -; write its gate.name".to_owned())
        }
    };
    section.entries("peers", peer).into_iter().map(|(_, peer)| peer).collect()
}

fn origin(node: &Node) -> Reading<Origin> {
    let text = units::text(node)?;
    Origin::parse(&text).map_err(|error| {
        let (shown, why) = (quoted(&text), error.why);
        format!("{shown} is not an origin: {why}; write \"http://10.0.0.2:8080\"")
    })
}
