//! The destinations that have a name in WISECP's API.
//!
//! The names are the vendor's, as its page lists them; the paths are this project's, and a site
//! sets its own under the same name. Of the vendor's table
//! - a value that is shown takes the one place: `articles_category` a category's route;
//! - five rows have lost the name of their value, which was a record's number: an invoice, a
//!   message, a ticket, a service, an affiliate. They take that number, or none and lead to the
//!   list;
//! - `order-steps` takes the group alone, or the group and one more value;
//! - one row, "Login", has lost its own name. It is taken to be `sign-in`, after its neighbours
//!   `sign-up` and `sign-out` and the path of the vendor's links.

use std::sync::LazyLock;

use crate::gate::destination::Catalogue;

/// Where the vendor leads who names no destination: the client area.
pub(super) const HOME: &str = "my-account";

/// Every name, with the path of each number of values.
pub(super) static CATALOGUE: LazyLock<Catalogue> =
    LazyLock::new(|| Catalogue::parse(DESTINATIONS).unwrap_or_default());

const DESTINATIONS: &[(&str, &str)] = &[
    ("home", "/"),
    ("license", "/license"),
    ("news", "/news"),
    ("articles", "/articles"),
    ("articles_category", "/articles/category/{0}"),
    ("references", "/references"),
    ("references_category", "/references/category/{0}"),
    ("normal_detail", "/pages/{0}"),
    ("news_detail", "/news/{0}"),
    ("articles_detail", "/articles/{0}"),
    ("software_detail", "/softwares/{0}"),
    ("newsletter-send", "/newsletter"),
    ("kbase", "/knowledgebase"),
    ("kbase_category", "/knowledgebase/category/{0}"),
    ("kbase_detail", "/knowledgebase/{0}"),
    ("products", "/products/{0}"),
    ("softwares", "/softwares"),
    ("softwares_cat", "/softwares/category/{0}"),
    ("domain", "/domain"),
    ("international-sms", "/international-sms"),
    ("contact", "/contact"),
    ("sign-up", "/sign-up"),
    ("sign-in", "/sign-in"),
    ("sign-out", "/sign-out"),
    ("sign-forget", "/sign-forget"),
    (HOME, "/clientarea"),
    ("ac-ps-info", "/clientarea/info"),
    ("ac-ps-balance", "/clientarea/balance"),
    ("ac-ps-invoices", "/clientarea/invoices"),
    ("ac-ps-detail-invoice", "/clientarea/invoices"),
    ("ac-ps-detail-invoice", "/clientarea/invoices/{0}"),
    ("ac-ps-messages", "/clientarea/messages"),
    ("ac-ps-message-d", "/clientarea/messages"),
    ("ac-ps-message-d", "/clientarea/messages/{0}"),
    ("ac-ps-tickets", "/clientarea/tickets"),
    ("ac-ps-creq-ticket", "/clientarea/tickets/new"),
    ("ac-ps-detail-ticket", "/clientarea/tickets"),
    ("ac-ps-detail-ticket", "/clientarea/tickets/{0}"),
    ("ac-ps-products", "/clientarea/services"),
    ("ac-ps-products-t", "/clientarea/services/group/{0}"),
    ("ac-ps-product", "/clientarea/services"),
    ("ac-ps-product", "/clientarea/services/{0}"),
    ("ac-ps-sms", "/clientarea/international-sms"),
    ("order-steps", "/order/{0}"),
    ("order-steps", "/order/{0}/{1}"),
    ("basket", "/basket"),
    ("basket-payment", "/basket/payment"),
    ("basket-pay", "/basket/pay"),
    ("pay-successful", "/payment/successful"),
    ("pay-failed", "/payment/failed"),
    ("contract1", "/contracts/service-and-use"),
    ("contract2", "/contracts/privacy"),
    ("sitemap.xml", "/sitemap.xml"),
    ("affiliate-link", "/affiliate"),
    ("affiliate-link", "/affiliate/{0}"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::{destination::Template, site::Site, template};

    /// The vendor's table, in its order: each name, and how many values it takes.
    const TABLE: &[(&str, &[usize])] = &[
        ("home", &[0]),
        ("license", &[0]),
        ("news", &[0]),
        ("articles", &[0]),
        ("articles_category", &[1]),
        ("references", &[0]),
        ("references_category", &[1]),
        ("normal_detail", &[1]),
        ("news_detail", &[1]),
        ("articles_detail", &[1]),
        ("software_detail", &[1]),
        ("newsletter-send", &[0]),
        ("kbase", &[0]),
        ("kbase_category", &[1]),
        ("kbase_detail", &[1]),
        ("products", &[1]),
        ("softwares", &[0]),
        ("softwares_cat", &[1]),
        ("domain", &[0]),
        ("international-sms", &[0]),
        ("contact", &[0]),
        ("sign-up", &[0]),
        ("sign-in", &[0]),
        ("sign-out", &[0]),
        ("sign-forget", &[0]),
        ("my-account", &[0]),
        ("ac-ps-info", &[0]),
        ("ac-ps-balance", &[0]),
        ("ac-ps-invoices", &[0]),
        ("ac-ps-detail-invoice", &[0, 1]),
        ("ac-ps-messages", &[0]),
        ("ac-ps-message-d", &[0, 1]),
        ("ac-ps-tickets", &[0]),
        ("ac-ps-creq-ticket", &[0]),
        ("ac-ps-detail-ticket", &[0, 1]),
        ("ac-ps-products", &[0]),
        ("ac-ps-products-t", &[1]),
        ("ac-ps-product", &[0, 1]),
        ("ac-ps-sms", &[0]),
        ("order-steps", &[1, 2]),
        ("basket", &[0]),
        ("basket-payment", &[0]),
        ("basket-pay", &[0]),
        ("pay-successful", &[0]),
        ("pay-failed", &[0]),
        ("contract1", &[0]),
        ("contract2", &[0]),
        ("sitemap.xml", &[0]),
        ("affiliate-link", &[0, 1]),
    ];

    fn site(destinations: Catalogue) -> Site {
        Site { destinations, ..Site::of_the_tests() }
    }

    #[test]
    fn the_catalogue_has_the_names_of_the_vendors_table_and_no_other() {
        let mut names: Vec<&str> = TABLE.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        assert_eq!(CATALOGUE.names().collect::<Vec<_>>(), names);
        assert!(names.into_iter().all(template::is_name));
    }

    #[test]
    fn every_template_of_the_list_is_one_and_none_gives_way_to_another() {
        for (name, text) in DESTINATIONS {
            assert!(Template::parse(text).is_ok(), "{name}");
        }
        let takes = |(_, counts): &(&str, &[usize])| counts.len();
        assert_eq!(DESTINATIONS.len(), TABLE.iter().map(takes).sum::<usize>());
    }

    #[test]
    fn every_name_leads_somewhere_with_as_many_values_as_the_vendor_shows() {
        let site = site(Catalogue::default());
        for (name, counts) in TABLE {
            for count in 0..=3 {
                let values = vec!["special-7/ä".to_owned(); count];
                let found = site.destination(name, &values, Some(&CATALOGUE));
                assert_eq!(found.is_ok(), counts.contains(&count), "{name} {count}: {found:?}");
                let filled =
                    found.map_or(0, |dst| dst.as_str().matches("special-7%2F%C3%A4").count());
                assert_eq!(filled, if counts.contains(&count) { count } else { 0 }, "{name}");
            }
        }
    }

    #[test]
    fn a_site_has_its_own_paths_under_the_vendors_names() {
        let site = site(Catalogue::parse(&[("ac-ps-detail-invoice", "/bills/{0}")]).unwrap());
        let find =
            |values: &[String]| site.destination("ac-ps-detail-invoice", values, Some(&CATALOGUE));
        assert_eq!(find(&["7".to_owned()]).unwrap().as_str(), "/bills/7");
        assert!(find(&[]).is_err(), "the site's template stands for the name alone");
    }
}
