//! A gate that speaks all five dialects for the site `panel`: one caller a vendor, and a directory
//! of a few users, accounts and resellers.

use std::sync::LazyLock;

use oncegate::{
    gate::password::{Credential, PasswordHash},
    ops::{clock::Clock, entropy},
};

use super::{
    gate::{Gate, NOW, key_hash, usual},
    upstream::Upstream,
};

/// The key of the caller `wisecp`.
pub const WISECP: &str = "og_wisecp-key-of-the-tests";
/// The key of the caller `campaign`, which speaks ActiveCampaign's.
pub const CAMPAIGN: &str = "og_campaign-key-of-the-tests";
/// The key of the caller `platform`, which speaks ActivePlatform's for reseller 1.
pub const PLATFORM: &str = "og_platform-key-of-the-tests";
/// The key of the caller `whmcs`.
pub const WHMCS: &str = "og_whmcs-key-of-the-tests";

/// A gate that speaks all five dialects, with the directory of [`directory`].
pub async fn start() -> Gate {
    with(|text| text).await
}

/// A gate whose configuration `change` makes of that of [`start`].
pub async fn with(change: impl FnOnce(String) -> String) -> Gate {
    with_directory(change, directory()).await
}

/// As [`with`], on another directory.
pub async fn with_directory(change: impl FnOnce(String) -> String, directory: String) -> Gate {
    // In memory where the machine has such a place: the golden pairs start hundreds of gates.
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    std::fs::write(dir.path().join("directory.toml"), directory).unwrap();
    let upstream = Upstream::start().await;
    let text = change([usual(&upstream), dialects()].concat());
    Gate::in_dir(dir, upstream, &text, Clock::manual(NOW)).await
}

/// As [`start`], with an origin that a browser on this machine can reach.
pub async fn on_loopback() -> Gate {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("directory.toml"), directory()).unwrap();
    Gate::on_loopback_in(dir, |text| [text, dialects()].concat()).await
}

/// What the configuration says of dialects, beyond the usual one.
pub fn dialects() -> String {
    let keys = [WISECP, CAMPAIGN, PLATFORM, WHMCS].map(key_hash);
    let [wisecp, campaign, platform, whmcs] = keys;
    let passwords = &*PASSWORDS;
    let (admin, apiuser, whmcs_password) =
        (&passwords.campaign, &passwords.clients, &passwords.whmcs);
    format!(
        r#"
[[callers]]
name = "wisecp"
key_sha256 = ["{wisecp}"]
sites = ["panel"]
max_ttl = "15m"
rate = "1000/s"
dialects = ["wisecp"]
[[callers]]
name = "campaign"
key_sha256 = ["{campaign}"]
username = "admin"
password = "{admin}"
sites = ["panel"]
max_ttl = "15m"
rate = "1000/s"
dialects = ["activecampaign"]
[[callers]]
name = "platform"
key_sha256 = ["{platform}"]
reseller = 1
sites = ["panel"]
max_ttl = "15m"
rate = "1000/s"
dialects = ["activeplatform"]
[[callers]]
name = "clients"
username = "apiuser"
password = "{apiuser}"
sites = ["panel"]
max_ttl = "15m"
rate = "1000/s"
dialects = ["allclients"]
[[callers]]
name = "whmcs"
key_sha256 = ["{whmcs}"]
username = "whmcs"
password = "{whmcs_password}"
sites = ["panel"]
max_ttl = "15m"
rate = "1000/s"
dialects = ["whmcs"]
[directory]
file = "directory.toml"
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
    )
}

/// The directory: users 18 to 20, resellers 1 > 7 > 8 and 2 beside them, accounts of each.
pub fn directory() -> String {
    let joe = &PASSWORDS.joe;
    format!(
        r#"
[[resellers]]
id = 1
[[resellers]]
id = 7
parent = 1
[[resellers]]
id = 8
parent = 7
[[resellers]]
id = 2
[[accounts]]
id = 505
reseller = 7
owner_email = "owner@example.com"
[[accounts]]
id = 506
reseller = 2
owner_email = "other@example.com"
[[accounts]]
id = 507
reseller = 7
owner_email = "closed@example.com"
active = false
[[accounts]]
id = 508
reseller = 8
owner_email = "owner+plus@example.com"
[[accounts]]
id = 2425
sign_on_url = true
[[accounts]]
id = 2426
[[accounts]]
id = 2427
sign_on_url = true
active = false
[[users]]
id = 18
username = "joe"
email = "joe@example.com"
password = "{joe}"
fields = {{ first_name = "Joe", can_edit = true, credits = 7 }}
[[users]]
id = 19
username = "zoë"
email = "zoe+x@example.com"
fields = {{ first_name = "Zoë <&>" }}
[[users]]
id = 20
username = "gone"
email = "gone@example.com"
active = false
"#
    )
}

/// The hashes, made once a process: each costs tens of milliseconds.
static PASSWORDS: LazyLock<Passwords> = LazyLock::new(|| Passwords {
    campaign: hash("pass word"),
    clients: hash("api pass"),
    whmcs: hash("whmcs pass"),
    joe: hash("joe's word"),
});

struct Passwords {
    campaign: String,
    clients: String,
    whmcs: String,
    joe: String,
}

/// The hash of a password, as `oncegate password` prints it.
pub fn hash(word: &str) -> String {
    PasswordHash::make(&Credential::of(word), &entropy::random()).unwrap().as_str().to_owned()
}
