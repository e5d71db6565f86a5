//! What a server must be before it is trusted with uses.

use super::line::Line;
use super::protocol::Unanswered;
use ::redis::cmd;

/// Redis 6.2: the oldest whose scripts may write after having asked for the time and for INFO, as
/// effects are what is replicated, and whose `UNLINK` and `HSET` are as used here; older ones get
/// no fixes.
const OLDEST: (u32, u32) = (6, 2);

/// Judges the server: one that is in charge, keeps what it has, and is new enough.
///
/// # Errors
/// [`Unanswered`], which says what to do.
pub(super) async fn judge(line: &Line) -> Result<(), Unanswered> {
    for (section, judge) in [
        ("server", version as fn(&Info) -> Result<(), String>),
        ("cluster", cluster),
        ("memory", eviction),
        ("persistence", loading),
        ("replication", role),
    ] {
        let info = line.ask(cmd("INFO").arg(section)).await.map_err(|why| line.unasked(why))?;
        let info = super::wire::text(&info).map(str::to_owned).unwrap_or_default();
        let judged = judge(&Info(info));
        judged
            .map_err(|why| Unanswered { unasked: true, why: format!("{}: {why}", line.address) })?;
    }
    Ok(())
}

/// What `INFO` says: lines of `name:value`.
struct Info(String);

impl Info {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'))
    }

    fn require(&self, name: &str) -> Result<&str, String> {
        self.get(name).ok_or_else(|| format!("INFO does not tell {name}; allow this user INFO"))
    }
}

fn version(info: &Info) -> Result<(), String> {
    if info.get("redis_mode") == Some("sentinel") {
        return Err("this is a Sentinel; write redis = { sentinel = { … } }".to_owned());
    }
    let version = info.require("redis_version")?;
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found < OLDEST {
        let (major, minor) = OLDEST;
        return Err(format!(
            "version {version} is too old; {major}.{minor} or later is needed, whose scripts may \
             ask for the time before they write"
        ));
    }
    Ok(())
}

fn cluster(info: &Info) -> Result<(), String> {
    match info.require("cluster_enabled")? {
        "0" => Ok(()),
        _ => Err("this is a cluster, which is not supported: all keys of one step must be on one \
                  server, and a cluster moves them; use a single server or Sentinel"
            .to_owned()),
    }
}

fn eviction(info: &Info) -> Result<(), String> {
    match info.require("maxmemory_policy")? {
        "noeviction" => Ok(()),
        policy => Err(format!(
            "maxmemory-policy is {policy}, under which it forgets uses; set it to noeviction"
        )),
    }
}

fn loading(info: &Info) -> Result<(), String> {
    match info.get("loading") {
        Some("1") => Err("it is reading its data; wait".to_owned()),
        _ => Ok(()),
    }
}

fn role(info: &Info) -> Result<(), String> {
    match info.require("role")? {
        "master" => info.require("master_replid").map(drop),
        _ => Err("this is a replica; name the primary, or use Sentinel".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(text: &str) -> Info {
        Info(text.replace('\n', "\r\n"))
    }

    #[test]
    fn a_server_is_refused_for_what_it_is_and_told_what_to_change() {
        for (judge, text, why) in [
            (version as fn(&Info) -> _, "redis_version:6.0.16\nredis_mode:standalone", "too old"),
            (version, "redis_version:7.0.15\nredis_mode:sentinel", "is a Sentinel"),
            (version, "# Server\n", "does not tell redis_version"),
            (cluster, "cluster_enabled:1", "is a cluster, which is not supported"),
            (eviction, "used_memory:1\nmaxmemory_policy:allkeys-lru", "set it to noeviction"),
            (loading, "loading:1", "reading its data"),
            (role, "role:slave\nmaster_replid:abc", "is a replica"),
        ] {
            let said = judge(&info(text)).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
        for (judge, text) in [
            (version as fn(&Info) -> _, "redis_version:6.2.0\nredis_mode:standalone"),
            (version, "redis_version:7.2.4\nserver_name:valkey\nvalkey_version:8.0.1"),
            (version, "redis_version:10.0.0"),
            (cluster, "# Cluster\ncluster_enabled:0"),
            (eviction, "maxmemory_policy:noeviction"),
            (loading, "loading:0"),
            (role, "role:master\nmaster_replid:abc"),
        ] {
            assert_eq!(judge(&info(text)), Ok(()), "{text}");
        }
    }
}
