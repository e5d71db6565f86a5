//! What a link is, who may ask for one and for whom, and whether it may pass.
//!
//! Pure: values in, values out. The time and every random id are arguments; nothing here reads a
//! file, a clock, the environment or the network, and nothing logs.

pub mod allowed_url;
pub mod caller;
pub mod carried;
pub mod certificate;
pub mod claims;
pub mod client_ip;
pub mod denial;
pub mod destination;
pub mod dialect;
pub mod directory;
pub mod form;
pub mod glob;
pub mod host;
pub mod id;
pub mod issue;
pub(crate) mod json;
pub mod keyring;
pub mod link;
pub mod networks;
pub mod origin;
pub mod original;
pub mod page;
pub mod password;
pub mod path;
pub mod peer;
pub mod policy;
pub mod reach;
pub mod redeem;
pub mod revoked;
pub mod secret;
pub mod seen;
pub mod session;
pub mod signatures;
pub mod site;
pub mod spoken;
pub mod template;
pub mod token;
