//! What the demo's gate is told: its configuration, and the directory of users beside it.

use std::net::SocketAddr;

use crate::gate::{
    caller::KeyHash,
    password::{Credential, NoMemory, PasswordHash},
    secret::Secret,
};

/// The file that the configuration names as its directory.
pub const DIRECTORY_FILE: &str = "directory.toml";

/// The name with which `billing` calls where a vendor's API wants a name and a password.
pub const USERNAME: &str = "demo";

/// With what the callers call.
#[derive(Debug, Clone)]
pub struct Access {
    /// The API key of `billing`.
    pub key: Secret<String>,
    /// Its password, under [`USERNAME`].
    pub password: Secret<String>,
    /// The API key of `manager`, who stands for a reseller, and asks by ActivePlatform's API alone.
    pub manager: Secret<String>,
}

/// The configuration of a gate at `public`, with the panel that listens at `panel` behind it;
/// `salt` is the password's.
///
/// # Errors
/// [`NoMemory`] for hashing the password.
pub fn configuration(
    public: SocketAddr,
    panel: SocketAddr,
    access: &Access,
    salt: &[u8; 16],
) -> Result<String, NoMemory> {
    let hash = |key: &Secret<String>| KeyHash::of(key.expose().as_bytes());
    let (billing, manager) = (hash(&access.key), hash(&access.manager));
    let password = PasswordHash::make(&Credential::of(access.password.expose()), salt)?;
    let password = password.as_str();
    Ok(format!(
        r#"
[gate]
name = "demo"
issuer = "http://{public}"
[listen]
public = "{public}"
api = "127.0.0.1:0"
admin = "127.0.0.1:0"
[once]
dir = "state"
[[sites]]
name = "panel"
origin = "http://{public}"
upstream = "http://{panel}"
[sites.destinations]
home = "/"
services = "/clientarea/services"
invoice = "/clientarea/invoices/{{0}}"
[[callers]]
name = "billing"
key_sha256 = ["{billing:x}"]
username = "{USERNAME}"
password = "{password}"
sites = ["panel"]
may = ["issue", "redeem", "revoke", "inspect"]
max_ttl = "15m"
dialects = ["wisecp", "activecampaign", "allclients", "whmcs"]
[[callers]]
name = "manager"
key_sha256 = ["{manager:x}"]
sites = ["panel"]
dialects = ["activeplatform"]
reseller = 1
[directory]
file = "{DIRECTORY_FILE}"
[dialects.wisecp]
site = "panel"
[dialects.activecampaign]
site = "panel"
[dialects.activeplatform]
site = "panel"
[dialects.allclients]
site = "panel"
[dialects.whmcs]
site = "panel"
"#
    ))
}

/// Whom the demo's gate signs in.
pub const DIRECTORY: &str = r#"
[[users]]
id = 18
username = "joe"
email = "joe@example.com"
fields = { first_name = "Joe", credits = 7, can_edit = true }
[[users]]
id = 19
username = "ana"
email = "ana@example.com"
fields = { first_name = "Ana", credits = 0, can_edit = true }
[[users]]
id = 20
username = "Zoë Müller"
email = "zoe@example.com"
fields = { first_name = "Zoë", credits = 3, can_edit = false }
[[resellers]]
id = 1
[[resellers]]
id = 7
parent = 1
[[accounts]]
id = 505
reseller = 7
owner_email = "owner@example.com"
[[accounts]]
id = 2425
sign_on_url = true
"#;
