//! How values are written: durations, sizes, rates, addresses, names.
//!
//! Each function reads one value and says what to write instead of a wrong one.

use std::{
    fs::File,
    io::Read as _,
    net::SocketAddr,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use url::{Host, Url};

use crate::{
    config::{
        raw::{Node, Value},
        reader::Reading,
    },
    gate::{caller::Rate, client_ip::Networks, secret::Secret},
};

/// Units of time, in milliseconds.
const TIME: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
/// Units of size, in bytes.
const SIZE: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// A file with one secret in it is never larger than this, in bytes.
const LARGEST_SECRET: u64 = 16 << 10;

/// A string.
pub(super) fn text(node: &Node) -> Reading<String> {
    match &node.value {
        Value::Text(text) | Value::Variable(text) => Ok(text.clone()),
        Value::Integer(_) | Value::Flag(_) => {
            let shown = node.shown();
            Err(format!("{shown} is not text; write \"{shown}\""))
        }
        _ => Err(format!("{} is not text; write one text in quotes", node.shown())),
    }
}

/// `true` or `false`.
pub(super) fn flag(node: &Node) -> Reading<bool> {
    match &node.value {
        Value::Flag(flag) => Ok(*flag),
        Value::Variable(text) if text == "true" => Ok(true),
        Value::Variable(text) if text == "false" => Ok(false),
        _ => Err(format!("{} is neither true nor false; write true or false", node.shown())),
    }
}

/// A whole number within bounds.
pub(super) fn number<T>(from: T, to: T) -> impl Fn(&Node) -> Reading<T>
where
    T: Copy + PartialOrd + std::fmt::Display + std::str::FromStr,
{
    move |node| {
        let number = match &node.value {
            Value::Integer(number) => number.parse().ok(),
            Value::Variable(text) => text.replace('_', "").parse().ok(),
            _ => {
                return Err(format!(
                    "{} is not a whole number; write a number from {from} to {to}",
                    node.shown()
                ));
            }
        };
        number.filter(|n| (from..=to).contains(n)).ok_or_else(|| {
            format!("{} is out of range; write a number from {from} to {to}", node.shown())
        })
    }
}

/// `[a-z0-9-]+`, at most 63 characters.
pub(super) fn name(node: &Node) -> Reading<String> {
    let name = text(node)?;
    if is_name(&name) {
        return Ok(name);
    }
    let near: String = name
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' })
        .take(63)
        .collect();
    let near = if is_name(&near) { format!("{near:?}") } else { "\"panel\"".to_owned() };
    Err(format!("{} is not a name of a-z, 0-9 and -; write {near}", node.shown()))
}

/// Whether a text is `[a-z0-9-]+` and no longer than a label of a host name.
pub(super) fn is_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&name.len()) && name.bytes().all(plain)
}

/// A path of the file system; relative ones are the caller's to resolve.
pub(super) fn path(node: &Node) -> Reading<PathBuf> {
    let path = text(node)?;
    if path.is_empty() || path.contains('\0') {
        return Err(format!("{} is not a path; write \"./name\"", node.shown()));
    }
    Ok(PathBuf::from(path))
}

/// A secret. No report quotes what stands in its place.
pub(super) fn secret(node: &Node) -> Reading<Secret<String>> {
    text(node).map(Secret::new).map_err(|_| "is not text; write one text in quotes".to_owned())
}

/// A secret in a file of its own, which is relative to `base`; the end of its line is not part
/// of it.
pub(super) fn secret_file(node: &Node, base: &Path) -> Reading<Secret<String>> {
    filed(node, base, 0)
}

/// The same, of a file that others can neither read nor write.
pub(super) fn private_file(node: &Node, base: &Path) -> Reading<Secret<String>> {
    filed(node, base, 0o007)
}

fn filed(node: &Node, base: &Path, forbidden: u32) -> Reading<Secret<String>> {
    let path = path(node)?;
    let wrong = |why: String| format!("{}: {why}", path.display());
    let unreadable = |error| wrong(format!("cannot be read: {error}"));
    let mut file = File::open(base.join(&path)).map_err(unreadable)?;
    // Asked of the open file, so that what is judged is what is read.
    let metadata = file.metadata().map_err(unreadable)?;
    let mode = metadata.mode() & 0o7777;
    if mode & forbidden != 0 {
        let shown = base.join(&path);
        let what = format!("can be read by others (mode {mode:04o}); do: chmod 600");
        return Err(wrong(format!("{what} {}", shown.display())));
    }
    if metadata.len() > LARGEST_SECRET {
        return Err(wrong("is larger than 16 KiB; write the secret alone".to_owned()));
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(unreadable)?;
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    if text.is_empty() {
        return Err(wrong("is empty; write the secret on its first line".to_owned()));
    }
    Ok(Secret::new(text))
}

/// A duration longer than nothing: `"200ms"`, `"60s"`, `"15m"`, `"8h"`, `"1d"`.
pub(super) fn duration(node: &Node) -> Reading<Duration> {
    scaled(node, &TIME, "a duration", "60s").map(Duration::from_millis)
}

/// A duration in whole seconds.
pub(super) fn seconds(node: &Node) -> Reading<u64> {
    let duration = duration(node)?;
    if duration.subsec_millis() != 0 {
        let up = duration.as_secs() + 1;
        return Err(format!("{} is not in whole seconds; write \"{up}s\"", node.shown()));
    }
    Ok(duration.as_secs())
}

/// A size in bytes: `"512B"`, `"64KiB"`, `"2MiB"`, `"1GiB"`.
pub(super) fn size(node: &Node) -> Reading<u64> {
    scaled(node, &SIZE, "a size", "64KiB")
}

fn scaled(node: &Node, units: &[(&str, u64)], what: &str, example: &str) -> Reading<u64> {
    if let Value::Integer(number) = &node.value {
        return Err(format!(
            "{number} has no unit; write \"{}\"",
            with_unit(number, example, units)
        ));
    }
    let written = text(node)?;
    let digits = written.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = written.split_at(digits);
    let scale = units.iter().find(|(known, _)| *known == unit).map(|(_, scale)| *scale);
    match (count.parse::<u64>(), scale) {
        (Ok(0), Some(_)) => Err(format!("{written:?} is nothing; write \"{example}\"")),
        (Ok(count), Some(scale)) => count
            .checked_mul(scale)
            .ok_or_else(|| format!("{} is too large; write \"{example}\"", node.shown())),
        _ => {
            let near = meant(count, unit, units).unwrap_or_else(|| example.to_owned());
            Err(format!("{} is not {what}; write \"{near}\"", node.shown()))
        }
    }
}

/// What somebody meant who wrote 60 for seconds, or 65536 for bytes.
fn with_unit(number: &str, example: &str, units: &[(&str, u64)]) -> String {
    match number.parse::<u64>() {
        Err(_) | Ok(0) => example.to_owned(),
        Ok(_) if *units == TIME => format!("{number}s"),
        Ok(bytes) => {
            let whole = units.iter().rev().find(|(_, scale)| bytes % scale == 0);
            whole.map_or_else(
                || example.to_owned(),
                |(unit, scale)| format!("{}{unit}", bytes / scale),
            )
        }
    }
}

/// What somebody meant who wrote "15 minutes", "64KB" or "10 sec".
fn meant(count: &str, unit: &str, units: &[(&str, u64)]) -> Option<String> {
    let word = unit.trim().to_lowercase();
    if count.is_empty()
        || count == "0"
        || word.is_empty()
        || !word.bytes().all(|b| b.is_ascii_lowercase())
    {
        return None;
    }
    let short = |known: &str| known.to_lowercase().replace("ib", "");
    let starts = |known: &str| match short(known).as_str() {
        "ms" => word.starts_with("ms") || word.starts_with("milli"),
        known => word.starts_with(known),
    };
    units.iter().find(|(known, _)| starts(known)).map(|(known, _)| format!("{count}{known}"))
}

/// A rate: `"50/s"`, `"10/m"`, `"5/h"`.
pub(super) fn rate(node: &Node) -> Reading<Rate> {
    let written = text(node)?;
    let wrong = || format!("{} is not a rate; write \"50/s\", \"10/m\" or \"5/h\"", node.shown());
    let (count, unit) = written.split_once('/').ok_or_else(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(wrong()),
    };
    let digits = !count.is_empty() && count.bytes().all(|b| b.is_ascii_digit());
    match count.parse() {
        Ok(count) if digits && count > 0 => Ok(Rate { count, seconds }),
        _ => Err(wrong()),
    }
}

/// An address to listen on, with its port.
pub(super) fn address(node: &Node) -> Reading<SocketAddr> {
    if let Value::Integer(port) = &node.value {
        return Err(format!("{port} is a port alone; write \"0.0.0.0:{port}\""));
    }
    let written = text(node)?;
    written.parse().map_err(|_| {
        let near = match written.rsplit_once(':') {
            Some(("", port)) if port.parse::<u16>().is_ok() => format!("0.0.0.0:{port}"),
            Some(("localhost", port)) if port.parse::<u16>().is_ok() => format!("127.0.0.1:{port}"),
            _ => "127.0.0.1:8080".to_owned(),
        };
        format!("{} is not an address with a port; write \"{near}\"", node.shown())
    })
}

/// An address or a network.
pub(super) fn network(node: &Node) -> Reading<String> {
    let written = text(node)?;
    Networks::parse(&[&written]).map(|_| written).map_err(|error| error.to_string())
}

/// A URL that a browser may be sent to: https, or http on this machine.
pub(super) fn web_url(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "is not a URL")?;
    let loopback = match url.host() {
        Some(Host::Domain(host)) => host == "localhost" || host.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => return Err("is not a URL with a host"),
    };
    match url.scheme() {
        _ if !url.username().is_empty() || url.password().is_some() => {
            Err("has a user name or a password in it")
        }
        "https" => Ok(url),
        "http" if loopback => Ok(url),
        "http" => Err("is not https; http is for loopback only"),
        _ => Err("is not an https URL"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fault::Place;

    fn node(text: &str) -> Node {
        Node { place: Place::File, value: Value::Text(text.to_owned()) }
    }

    #[test]
    fn durations_sizes_and_rates_are_read() {
        assert_eq!(duration(&node("200ms")), Ok(Duration::from_millis(200)));
        assert_eq!(seconds(&node("15m")), Ok(900));
        assert_eq!(seconds(&node("1d")), Ok(86_400));
        assert_eq!(size(&node("64KiB")), Ok(65_536));
        assert_eq!(rate(&node("10/m")), Ok(Rate { count: 10, seconds: 60 }));
    }

    #[test]
    fn what_was_meant_is_offered() {
        let near = |text| seconds(&node(text)).unwrap_err();
        assert_eq!(near("15 minutes"), r#""15 minutes" is not a duration; write "15m""#);
        assert_eq!(near("10 Sec"), r#""10 Sec" is not a duration; write "10s""#);
        assert_eq!(near("1h30m"), r#""1h30m" is not a duration; write "60s""#);
        assert_eq!(near("1500ms"), r#""1500ms" is not in whole seconds; write "2s""#);
        assert_eq!(size(&node("64KB")).unwrap_err(), r#""64KB" is not a size; write "64KiB""#);
        assert_eq!(
            address(&node(":80")).unwrap_err(),
            r#"":80" is not an address with a port; write "0.0.0.0:80""#
        );
    }

    #[test]
    fn what_is_no_value_is_refused() {
        for text in
            ["", "s", "0s", "-1s", "+1s", "1.5s", "1S", "60", "99999999999999999999s", "９s"]
        {
            assert!(duration(&node(text)).is_err(), "{text}");
        }
        assert!(duration(&node("18446744073709551615d")).is_err());
        for text in ["", "/s", "0/s", "50", "50/d", "+5/s", "5/s ", "4294967296/s"] {
            assert!(rate(&node(text)).is_err(), "{text}");
        }
        for text in ["", "A", "a_b", "a.b", "é"] {
            assert!(name(&node(text)).is_err(), "{text}");
        }
    }
}
