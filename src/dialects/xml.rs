//! Flat XML documents, compact: one root, one level of elements with text.
//!
//! The vendors' clients cut values out by their tags and count child nodes: no attribute, no
//! CDATA, no white space between elements.

use std::io;

use quick_xml::{Writer, events::BytesText};

/// The root with its elements, in order. The declaration, which every vendor spells its own way, is
/// the caller's.
///
/// Carriage returns are escaped, since a parser would make line feeds of them. What no XML can
/// carry (XML 1.0, 2.2) is not escapable and written as it is: names are refused and records are
/// judged by [`is_plain`](crate::gate::directory::is_plain) before anything is issued. The names
/// must be names in XML.
pub(super) fn flat(root: &str, elements: &[(&str, &str)]) -> String {
    // Writing to memory cannot fail.
    written(root, elements).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
}

fn written(root: &str, elements: &[(&str, &str)]) -> io::Result<Vec<u8>> {
    let mut writer = Writer::new(Vec::new());
    writer.create_element(root).write_inner_content(|inner| {
        elements.iter().try_for_each(|(name, text)| {
            inner.create_element(*name).write_text_content(BytesText::new(text)).map(drop)
        })
    })?;
    Ok(writer.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_stand_in_order_without_anything_between_them() {
        let written = flat("r", &[("b", "1"), ("a", ""), ("b", "<&>]]>\r\n\t\"'é")]);
        let escaped = "&lt;&amp;&gt;]]&gt;&#13;\n\t&quot;&apos;é";
        assert_eq!(written, format!("<r><b>1</b><a></a><b>{escaped}</b></r>"));
        assert_eq!(flat("r", &[]), "<r></r>");
    }
}
