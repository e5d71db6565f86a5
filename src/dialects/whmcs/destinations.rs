//! The destinations that have a name in WHMCS's API.
//!
//! The names are those of the vendor's single sign-on guide and of its OAuth scopes; the paths are
//! where its client area has had these pages since version 5, and a site sets its own.
//!
//! A destination's name holds no `:` here, which would make it a URL: `clientarea:services` is
//! known as `clientarea-services`. Under that name a site gives it another path and a caller's
//! `destinations` permit it.

use std::{borrow::Cow, sync::LazyLock};

use crate::gate::{destination::Catalogue, template};

/// Where the vendor leads who names no destination: the client area's home page.
pub(super) const HOME: &str = "clientarea-homepage";

/// Every name, with its path.
pub(super) static CATALOGUE: LazyLock<Catalogue> =
    LazyLock::new(|| Catalogue::parse(DESTINATIONS).unwrap_or_default());

const DESTINATIONS: &[(&str, &str)] = &[
    (HOME, "/clientarea.php"),
    ("clientarea-sso", "/clientarea.php"),
    ("clientarea-profile", "/clientarea.php?action=details"),
    ("clientarea-billing_info", "/clientarea.php?action=creditcard"),
    ("clientarea-emails", "/clientarea.php?action=emails"),
    ("clientarea-announcements", "/announcements.php"),
    ("clientarea-downloads", "/downloads.php"),
    ("clientarea-knowledgebase", "/knowledgebase.php"),
    ("clientarea-network_status", "/serverstatus.php"),
    ("clientarea-services", "/clientarea.php?action=services"),
    ("clientarea-product_details", "/clientarea.php?action=productdetails&id={0}"),
    ("clientarea-domains", "/clientarea.php?action=domains"),
    ("clientarea-domain_details", "/clientarea.php?action=domaindetails&id={0}"),
    ("clientarea-invoices", "/clientarea.php?action=invoices"),
    ("clientarea-tickets", "/supporttickets.php"),
    ("clientarea-submit_ticket", "/submitticket.php"),
    ("clientarea-upgrade", "/upgrade.php?type=package&id={0}"),
    ("clientarea-shopping_cart", "/cart.php"),
    ("clientarea-shopping_cart_addons", "/cart.php?gid=addons"),
    ("clientarea-shopping_cart_domain_register", "/cart.php?a=add&domain=register"),
    ("clientarea-shopping_cart_domain_transfer", "/cart.php?a=add&domain=transfer"),
];

/// A destination's name, as this gate knows the vendor's; nothing for a text that names none.
pub(super) fn named(destination: &str) -> Option<Cow<'_, str>> {
    let name = match destination.strip_prefix("clientarea:") {
        Some(page) => Cow::Owned(format!("clientarea-{page}")),
        None => Cow::Borrowed(destination),
    };
    Some(name).filter(|name| template::is_name(name))
}

/// The field whose number fills a destination's place, where it has one.
pub(super) fn needs(name: &str) -> Option<&'static str> {
    match name {
        "clientarea-product_details" | "clientarea-upgrade" => Some("service_id"),
        "clientarea-domain_details" => Some("domain_id"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_the_list_leads_somewhere_with_what_it_needs() {
        assert_eq!(CATALOGUE.names().count(), DESTINATIONS.len());
        for (name, _) in DESTINATIONS {
            let values: Vec<String> = needs(name).map(|_| "7".to_owned()).into_iter().collect();
            let filled = CATALOGUE.fill(name, &values).unwrap().unwrap();
            assert_eq!(filled.ends_with("id=7"), needs(name).is_some(), "{name}");
            assert_eq!(named(&name.replacen('-', ":", 1)).as_deref(), Some(*name));
        }
    }

    #[test]
    fn what_is_no_name_of_a_destination_is_none() {
        assert_eq!(named("invoice").as_deref(), Some("invoice"));
        for other in [
            "clientarea:product_details:id=5",
            "clientarea:product_details clientarea:profile",
            "https://evil.example",
            "javascript:alert(1)",
            "sso:custom_redirect",
            "/clientarea.php",
            "",
        ] {
            assert_eq!(named(other), None, "{other}");
        }
    }
}
