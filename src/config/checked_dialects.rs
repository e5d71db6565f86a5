//! Stage two: what must hold between dialects and the callers who speak them.

use std::collections::BTreeMap;

use crate::{
    config::{checked::Found, ledger::Ledger, listen::Listen, raw::quoted},
    gate::{
        caller::Caller,
        client_ip::ClientIpSource,
        dialect::Dialect,
        link::{BindIp, LinkRules},
        spoken::DialectRules,
    },
};

/// What the callers can count on.
pub(super) struct Spoken<'c> {
    /// The names of the sites.
    pub(super) sites: &'c [String],
    /// The dialects that are spoken.
    pub(super) dialects: &'c [DialectRules],
    /// Whether there is a directory.
    pub(super) directory: bool,
    /// The rules every link follows.
    pub(super) links: &'c LinkRules,
    /// Whether all lines are TOML: else something may only seem to be missing.
    pub(super) whole: bool,
}

/// The dialects: each of a site that exists (`known`), and at paths of its own.
pub(super) fn dialects(
    ledger: &Ledger,
    dialects: Vec<Found<DialectRules>>,
    known: &[String],
) -> Vec<DialectRules> {
    for Found { path, value } in &dialects {
        if !known.contains(&value.site) {
            let what = format!("there is no site {:?}; write one of {known:?}", value.site);
            ledger.fault(&format!("{path}.site"), what);
        }
    }
    paths_differ(ledger, &dialects);
    dialects.into_iter().map(|rules| rules.value).collect()
}

/// Of all vendors' calls, two alone can be at one path: whmcs's `includes/api.php` and, behind a
/// base that is written, activecampaign's `api.php`. The latter would never be reached.
fn paths_differ(ledger: &Ledger, dialects: &[Found<DialectRules>]) {
    let of = |dialect| dialects.iter().find(|rules| rules.value.dialect == dialect);
    if let (Some(campaign), Some(whmcs)) = (of(Dialect::Activecampaign), of(Dialect::Whmcs))
        && let Some(base) = &campaign.value.base
        && *base == format!("{}includes/", whmcs.value.base_or("/"))
    {
        let what = format!(
            "{base}api.php would be the call of {} and of {} alike; write another base",
            campaign.path, whmcs.path
        );
        ledger.fault(&format!("{}.base", campaign.path), what);
    }
}

/// Guesses of a caller's password count against the address they come from: it should not be that
/// of a proxy, behind which everybody is.
pub(super) fn guesses(ledger: &Ledger, callers: &[Found<Caller>], listen: &Listen) {
    let behind_proxy =
        !listen.trusted_proxies.is_empty() && listen.api_client_ip == ClientIpSource::Peer;
    let caller = callers.iter().find(|caller| caller.value.password.is_some());
    if let Some(caller) = caller.filter(|_| behind_proxy) {
        let what = format!(
            "is \"peer\", and {} has a password: if listen.api is behind one of the trusted_proxies, \
             wrong guesses of everybody behind it count against its one address; write \
             \"x-forwarded-for\" then",
            caller.path
        );
        ledger.warn("listen.api_client_ip", &what);
    }
}

/// The callers: each with a name of its own, and with all that its dialects need of it.
pub(super) fn callers(ledger: &Ledger, callers: &[Found<Caller>], spoken: &Spoken<'_>) {
    names(ledger, callers);
    for found in callers {
        key(ledger, found, spoken);
        for dialect in &found.value.dialects {
            needs(ledger, found, *dialect, spoken);
            rules(ledger, found, *dialect, spoken);
        }
        manager(ledger, found);
        unused(ledger, found);
    }
}

/// A reseller's manager is held to its tree, and no other dialect knows of trees.
fn manager(ledger: &Ledger, caller: &Found<Caller>) {
    let Caller { reseller, dialects, .. } = &caller.value;
    let others = dialects.iter().any(|dialect| *dialect != Dialect::Activeplatform);
    if reseller.is_some() && others && dialects.contains(&Dialect::Activeplatform) {
        let what = "a reseller's manager speaks activeplatform alone; give each other dialect a \
                    caller of its own";
        ledger.fault(&format!("{}.dialects", caller.path), what);
    }
}

/// No caller has a username that leads to another one: whmcs's clients send a caller's name or
/// its username.
fn names(ledger: &Ledger, callers: &[Found<Caller>]) {
    let named = callers.iter().map(|caller| (caller.value.name.as_str(), caller.path.as_str()));
    let mut owners: BTreeMap<&str, (&str, &str)> =
        named.map(|(name, path)| (name, ("name", path))).collect();
    for Found { path, value } in callers {
        let Some(username) = &value.username else { continue };
        match owners.get(username.as_str()) {
            Some((_, owner)) if owner == path => {}
            Some((of, owner)) => {
                let shown = quoted(username);
                let what = format!("{shown} is the {of} of {owner} too; give each caller its own");
                ledger.fault(&format!("{path}.username"), what);
            }
            None => {
                owners.insert(username, ("username", path));
            }
        }
    }
}

/// A key, for dialects whose clients send nothing else; one fault for all of them is enough.
fn key(ledger: &Ledger, caller: &Found<Caller>, spoken: &Spoken<'_>) {
    let sends_a_key = |d: &&Dialect| matches!(d, Dialect::Wisecp | Dialect::Activeplatform);
    if let Some(dialect) = caller.value.dialects.iter().find(sends_a_key)
        && caller.value.keys.is_empty()
        && !ledger.has(&format!("{}.key_sha256_file", caller.path))
    {
        let example = "key_sha256 = [\"…\"], as `oncegate caller new NAME` prints it";
        missing(ledger, caller, *dialect, spoken, "key_sha256", example);
    }
}

/// The fault that a dialect needs a key of the caller's table which is not written there.
fn missing(
    ledger: &Ledger,
    caller: &Found<Caller>,
    dialect: Dialect,
    spoken: &Spoken<'_>,
    key: &str,
    example: &str,
) {
    let path = format!("{}.{key}", caller.path);
    if spoken.whole && !ledger.has(&path) {
        ledger.fault(&path, format!("is missing, and {dialect} needs it; write {example}"));
    }
}

/// What a dialect needs of a caller.
fn needs(ledger: &Ledger, caller: &Found<Caller>, dialect: Dialect, spoken: &Spoken<'_>) {
    let path = &caller.path;
    let has = |key: &str| ledger.has(&format!("{path}.{key}"));
    let missing = |key, example| missing(ledger, caller, dialect, spoken, key, example);
    match dialect {
        // A name without a password, or the other way round, is a fault already.
        Dialect::Allclients if !has("password") && !has("password_file") => {
            missing("username", "a username, and the password that `oncegate password` prints");
        }
        Dialect::Activeplatform => {
            missing("reseller", "reseller = 1, the reseller whose manager this caller is");
            if !spoken.directory && spoken.whole {
                let what = "activeplatform needs a directory of accounts and resellers; write \
                            [directory] with file = \"directory.toml\"";
                ledger.fault(&format!("{path}.dialects"), what);
            }
        }
        _ => {}
    }
}

/// What the dialect's own table says of it.
fn rules(ledger: &Ledger, caller: &Found<Caller>, dialect: Dialect, spoken: &Spoken<'_>) {
    let Found { path, value } = caller;
    let key = format!("{path}.dialects");
    match spoken.dialects.iter().find(|rules| rules.dialect == dialect) {
        Some(DialectRules { site, .. })
            if spoken.sites.contains(site)
                && !value.sites.is_empty()
                && !value.sites.contains(site) =>
        {
            let what = format!(
                "{dialect} opens the site {site:?}, which is not among the sites; add it there"
            );
            ledger.fault(&key, what);
        }
        None if spoken.whole && !ledger.has(&format!("dialects.{dialect}")) => {
            let site = value.sites.first().map_or("panel", String::as_str);
            let what = format!("there is no [dialects.{dialect}]; write it, with site = {site:?}");
            ledger.fault(&key, what);
        }
        _ => {}
    }
    if dialect == Dialect::Allclients && !value.sign_on_url && !spoken.directory {
        let what = "is not set, and no directory says which accounts may sign on: every call of \
                    allclients is refused";
        ledger.warn(&format!("{path}.sign_on_url"), what);
    }
    // Of all vendors' APIs, ActiveCampaign's alone names the visitor's address, and always does.
    let names_address = dialect == Dialect::Activecampaign;
    let refused = match spoken.links.bind_ip {
        BindIp::Required => !names_address,
        BindIp::Off => names_address,
        BindIp::Optional => false,
    };
    if refused {
        let names = if names_address { "always" } else { "never" };
        let what = format!(
            "{dialect} {names} names the visitor's address, against links.bind_ip: every call is \
             refused"
        );
        ledger.warn(&key, &what);
    }
}

/// What no dialect of the caller's reads.
fn unused(ledger: &Ledger, caller: &Found<Caller>) {
    let Found { path, value } = caller;
    let speaks = |dialects: &[Dialect]| dialects.iter().any(|d| value.dialects.contains(d));
    let with_password = [Dialect::Activecampaign, Dialect::Allclients, Dialect::Whmcs];
    for (key, written, readers) in [
        ("reseller", value.reseller.is_some(), &[Dialect::Activeplatform][..]),
        ("sign_on_url", value.sign_on_url, &[Dialect::Allclients]),
        ("username", value.username.is_some(), &with_password),
    ] {
        if written && !speaks(readers) {
            let names: Vec<&str> = readers.iter().map(|dialect| dialect.name()).collect();
            let which = if names.len() == 1 { "it" } else { "one of them" };
            let what = format!(
                "is read for {} alone, which this caller does not speak; write {which} into its \
                 dialects, as in dialects = [{:?}], or remove this",
                names.join(" and "),
                names.first().unwrap_or(&"")
            );
            ledger.warn(&format!("{path}.{key}"), &what);
        }
    }
}
