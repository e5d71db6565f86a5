//! Lists of networks: whom to trust, from where a caller may call, to what a link is bound.
//!
//! An address has one form: IPv4-mapped IPv6 is IPv4 before anything is compared.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::gate::{client_ip::ClientIp, denial::Denial};

/// The widest IPv4 network that a link may be bound to, as a prefix length in bits.
pub const WIDEST_IPV4: u8 = 16;
/// The widest IPv6 network that a link may be bound to, as a prefix length in bits.
pub const WIDEST_IPV6: u8 = 32;
/// How many networks one link may be bound to.
pub const MAX_BOUND: usize = 16;

/// The networks of IPv4-mapped IPv6 addresses (RFC 4291, 2.5.5.2) begin with this many bits.
const MAPPED_BITS: u8 = 96;

/// A list of networks, in the order given, each once; empty contains nothing.
///
/// IPv4-mapped networks are IPv4 and host bits are zero. A network holds addresses of its own
/// family only: `::/0` contains no IPv4 address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

/// A text that is neither an address nor a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is not a network: {why}", shown(.text))]
pub struct NotANetwork {
    /// The text as written, up to 64 characters of it.
    pub text: String,
    /// What is wrong with it, and what is expected.
    pub why: String,
}

/// What was written, if it is as short as a network: anything longer is something else, and may
/// be a token.
fn shown(text: &str) -> String {
    /// Of an IPv6 address that ends as an IPv4 one does, with a width.
    const LONGEST: usize = 49;
    if text.len() > LONGEST {
        return format!("a text of {} bytes", text.len());
    }
    format!("{text:?}")
}

impl Networks {
    /// Brings each network to its one form and drops repetitions.
    pub fn new(networks: impl IntoIterator<Item = IpNet>) -> Self {
        let mut list: Vec<IpNet> = Vec::new();
        for network in networks.into_iter().map(canonical) {
            if !list.contains(&network) {
                list.push(network);
            }
        }
        Self(list)
    }

    /// Reads addresses and networks of any width, as a configuration lists them.
    ///
    /// # Errors
    /// The first text that is neither.
    pub fn parse<S: AsRef<str>>(texts: &[S]) -> Result<Self, NotANetwork> {
        let networks: Result<Vec<_>, _> =
            texts.iter().map(|text| read(text.as_ref(), 32, 128)).collect();
        Ok(Self::new(networks?))
    }

    /// Reads what a link is to be bound to: 1 to [`MAX_BOUND`] addresses or networks.
    ///
    /// An address without a width gets that of its family, in bits.
    ///
    /// # Errors
    /// [`Denial::Invalid`] of `ip`: none, too many, unreadable, or wider than
    /// /[`WIDEST_IPV4`] or /[`WIDEST_IPV6`].
    pub fn bind<S: AsRef<str>>(
        texts: &[S],
        ipv4_prefix: u8,
        ipv6_prefix: u8,
    ) -> Result<Self, Denial> {
        let invalid = |why: String| Denial::invalid("ip", why);
        if texts.is_empty() {
            return Err(invalid("an empty list binds to nobody; leave it out instead".to_owned()));
        }
        if texts.len() > MAX_BOUND {
            return Err(invalid(format!("at most {MAX_BOUND} networks")));
        }
        let mut networks = Vec::with_capacity(texts.len());
        for text in texts.iter().map(AsRef::as_ref) {
            let network = read(text, ipv4_prefix, ipv6_prefix)
                .map(canonical)
                .map_err(|error| invalid(error.to_string()))?;
            let widest = if network.addr().is_ipv4() { WIDEST_IPV4 } else { WIDEST_IPV6 };
            if network.prefix_len() < widest {
                return Err(invalid(format!(
                    "{network} is wider than /{widest}, the widest a link may be bound to"
                )));
            }
            networks.push(network);
        }
        Ok(Self::new(networks))
    }

    /// Whether any of the networks contains the address.
    pub fn contains(&self, address: ClientIp) -> bool {
        let address = address.addr();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The networks, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, IpNet> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Networks {
    type Item = &'a IpNet;
    type IntoIter = std::slice::Iter<'a, IpNet>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// `192.0.2.0/24, 2001:db8::/64`.
impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, network) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{network}")?;
        }
        Ok(())
    }
}

/// An array of texts, each with its width.
impl Serialize for Networks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(ToString::to_string))
    }
}

/// An array of texts, exactly as [`Networks`] writes them: anything else was not written here.
impl<'de> Deserialize<'de> for Networks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        let networks = Self::parse(&texts).map_err(D::Error::custom)?;
        let same = texts.len() == networks.len()
            && texts.iter().zip(&networks).all(|(text, network)| *text == network.to_string());
        if same { Ok(networks) } else { Err(D::Error::custom("networks not in their one form")) }
    }
}

/// An address with the width of its family, or a network with its own.
fn read(text: &str, ipv4_prefix: u8, ipv6_prefix: u8) -> Result<IpNet, NotANetwork> {
    // It is shown to whoever sent it and in the log: no more of it than tells it apart.
    let fault =
        |why: &str| NotANetwork { text: text.chars().take(64).collect(), why: why.to_owned() };
    let (address, width) = match text.split_once('/') {
        Some((address, width)) => (address, Some(width)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| {
        fault("write an address such as 192.0.2.7 or a network such as 192.0.2.0/24")
    })?;
    let Some(width) = width else {
        let address = address.to_canonical();
        let prefix = if address.is_ipv4() { ipv4_prefix } else { ipv6_prefix };
        return IpNet::new(address, prefix).map_err(|_| fault("its width is out of range"));
    };
    let digits = !width.is_empty() && width.bytes().all(|byte| byte.is_ascii_digit());
    let prefix = match width.parse::<u8>() {
        Ok(prefix) if digits && (width == "0" || !width.starts_with('0')) => prefix,
        _ => return Err(fault("its width must be a number of bits, such as /24")),
    };
    if mapped(address) && prefix < MAPPED_BITS {
        return Err(fault("write the IPv4 network that is meant"));
    }
    IpNet::new(address, prefix).map_err(|_| fault("its width is more bits than an address has"))
}

/// Whether it is an IPv4 address written as an IPv6 one.
fn mapped(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some())
}

/// Host bits zero, and IPv4 where the network is one of IPv4-mapped addresses.
fn canonical(network: IpNet) -> IpNet {
    let network = network.trunc();
    if let IpNet::V6(six) = network
        && let Some(address) = Ipv6Addr::to_ipv4_mapped(&six.addr())
        && let Some(prefix) = six.prefix_len().checked_sub(MAPPED_BITS)
        && let Ok(four) = Ipv4Net::new(address, prefix)
    {
        return IpNet::V4(four.trunc());
    }
    network
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> ClientIp {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_without_a_width_gets_that_of_its_family() {
        let bound = |text| Networks::bind(&[text], 24, 56).unwrap().to_string();
        assert_eq!(bound("203.0.113.7"), "203.0.113.0/24");
        assert_eq!(bound("::ffff:203.0.113.7"), "203.0.113.0/24");
        assert_eq!(bound("2001:db8:1:2ff::7"), "2001:db8:1:200::/56");
        assert_eq!(bound("203.0.113.7/30"), "203.0.113.4/30");
        assert_eq!(Networks::parse(&["203.0.113.7"]).unwrap().to_string(), "203.0.113.7/32");
        assert_eq!(Networks::parse(&["2001:db8::7"]).unwrap().to_string(), "2001:db8::7/128");
    }

    #[test]
    fn a_link_is_bound_to_nothing_wider_than_the_contract_allows() {
        for good in ["10.1.0.0/16", "2001:db8::/32", "::ffff:10.1.0.0/112"] {
            assert!(Networks::bind(&[good], 32, 64).is_ok(), "{good}");
        }
        for wide in ["10.0.0.0/15", "0.0.0.0/0", "2001:db8::/31", "::/0", "::ffff:10.0.0.0/111"] {
            let denial = Networks::bind(&[wide], 32, 64).unwrap_err();
            assert!(matches!(denial, Denial::Invalid { field, .. } if field == "ip"), "{wide}");
        }
    }

    #[test]
    fn none_and_too_many_are_refused() {
        assert!(Networks::bind::<&str>(&[], 32, 64).is_err());
        assert!(Networks::bind(&["10.0.0.1"; MAX_BOUND], 32, 64).is_ok());
        assert!(Networks::bind(&["10.0.0.1"; MAX_BOUND + 1], 32, 64).is_err());
    }

    #[test]
    fn what_is_not_exactly_an_address_or_a_network_is_refused() {
        for text in [
            "",
            " ",
            "10.0.0",
            "10.0.0.256",
            "010.0.0.1",
            "0x0a.0.0.1",
            "167772161",
            "10.0.0.1/",
            "10.0.0.1/33",
            "10.0.0.1/032",
            "10.0.0.1/+8",
            "10.0.0.1/-1",
            "10.0.0.1/8/8",
            "10.0.0.1 ",
            " 10.0.0.1",
            "10.0.0.1:80",
            "[::1]",
            "::1/129",
            "fe80::1%eth0",
            "fe80::1%25eth0/64",
            "example.com",
            "10.0.0.1\n",
            "10.0.0.1/255.0.0.0",
            "::ffff:10.0.0.1/64",
            "１０.0.0.1",
        ] {
            assert!(Networks::parse(&[text]).is_err(), "{text:?}");
            assert!(Networks::bind(&[text], 32, 64).is_err(), "{text:?}");
        }
    }

    #[test]
    fn mapped_addresses_and_networks_are_ipv4() {
        let networks = Networks::parse(&["::ffff:0:0/96", "::ffff:10.0.0.0/104"]).unwrap();
        assert_eq!(networks.to_string(), "0.0.0.0/0, 10.0.0.0/8");
        assert!(networks.contains(ip("::ffff:192.0.2.1")) && networks.contains(ip("192.0.2.1")));
        assert!(!networks.contains(ip("2001:db8::1")));
        assert!(!Networks::parse(&["::/0"]).unwrap().contains(ip("192.0.2.1")));
    }

    #[test]
    fn they_are_serialised_in_one_form_and_read_in_no_other() {
        let networks = Networks::parse(&["10.0.0.1/8", "2001:DB8::/64", "10.0.0.0/8"]).unwrap();
        let text = serde_json::to_string(&networks).unwrap();
        assert_eq!(text, r#"["10.0.0.0/8","2001:db8::/64"]"#);
        assert_eq!(serde_json::from_str::<Networks>(&text).unwrap(), networks);
        for other in [
            r#"["10.0.0.1/8"]"#,
            r#"["10.0.0.1"]"#,
            r#"["2001:DB8::/64"]"#,
            r#""10.0.0.0/8""#,
            r#"["10.0.0.0/8","10.0.0.0/8"]"#,
            r#"["::ffff:10.0.0.0/104"]"#,
            "[8]",
            "null",
        ] {
            assert!(serde_json::from_str::<Networks>(other).is_err(), "{other}");
        }
    }
}
