//! What ActiveCampaign's API answers, read back by those who read such answers: PHP, and parsers
//! of JSON and XML. Whatever a user is called and a record says comes back as it was.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

mod support;

use std::{
    cell::RefCell,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use oncegate::{
    dialects::{Format, Granted, Outcome, Who, vendor},
    gate::{
        claims::value_from_json,
        dialect::Dialect,
        directory::{Scalar, User, is_plain},
    },
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::{prelude::*, test_runner::TestRunner};
use quick_xml::{Reader, escape::resolve_predefined_entity, events::Event};
use serde_json::{Value, json};
use support::{gate::Gate, installed, vendors};

/// A token's shape; what it says is of no concern here.
const TOKEN: &str = "eyJ4Ijoi.eyJ5Ijoi.c2ln";
/// How many records each reader is shown.
const CASES: u32 = 1000;

#[test]
fn php_unserializes_what_went_in() {
    let Some(php) = Php::start() else { return };
    every_record(|record| {
        let read = php.read("serialize", &record.written(Format::Php));
        assert_eq!(read, json!({ "unserialize": record.expected("serialize") }));
    });
}

#[test]
fn phps_readers_of_xml_find_what_went_in() {
    let Some(php) = Php::start() else { return };
    every_record(|record| {
        let read = php.read("xml", &record.written(Format::Xml));
        let expected = record.expected_texts("xml");
        assert_eq!(read, json!({ "simplexml": expected, "dom": expected }));
    });
}

#[test]
fn php_decodes_what_went_into_json() {
    let Some(php) = Php::start() else { return };
    every_record(|record| {
        let read = php.read("json", &record.written(Format::Json));
        assert_eq!(read, json!({ "json_decode": record.expected("json") }));
    });
}

#[test]
fn a_strict_parser_of_json_finds_what_went_in() {
    every_record(|record| {
        let read = value_from_json(record.written(Format::Json).as_bytes()).unwrap();
        let expected: serde_json::Map<_, _> = record.expected("json").into_iter().collect();
        assert_eq!(read, Value::Object(expected));
    });
}

#[test]
fn a_strict_parser_of_xml_finds_what_went_in_and_nothing_between() {
    every_record(|record| {
        let body = record.written(Format::Xml);
        let expected = record.expected_texts("xml");
        assert_eq!(elements(&body), expected);
        // As one client does it.
        let (_, rest) = body.split_once("<token>").unwrap();
        assert_eq!(rest.split_once("</token>").unwrap().0, TOKEN);
        let (declaration, rest) = body.split_once('\n').unwrap();
        assert_eq!(declaration, "<?xml version='1.0' encoding='utf-8'?>");
        assert!(rest.starts_with("<singlesignon><id>") && rest.ends_with("</singlesignon>"));
    });
}

#[test]
fn the_readers_refuse_what_is_broken() {
    let Some(php) = Php::start() else { return };
    let refused =
        |format, body| php.read(format, body).as_object().unwrap().values().all(Value::is_null);
    assert!(refused("serialize", r#"a:1:{s:1:"a";s:1:"ë";}"#));
    assert!(refused("serialize", r#"a:1:{s:1:"a";i:1;} "#));
    assert!(refused("xml", "<a><b>&</b></a>"));
    assert!(refused("xml", "<a><b>\u{1}</b></a>"));
    assert!(refused("json", "{\"a\":\"\n\"}"));
    // SimpleXML does not see what stands between elements; DOM does.
    assert_eq!(php.read("xml", "<a> <b/></a>")["dom"], Value::Null);
    assert_eq!(php.read("xml", "<a><b><![CDATA[x]]></b></a>")["dom"], Value::Null);
}

/// Without a directory every name is a user's that a token can carry.
#[tokio::test]
async fn a_name_that_is_issued_comes_back_in_every_format() {
    let gate = without_directory().await;
    for name in
        ["joe", "zoë", "</id>]]>&amp;", "\";}i:1;", "e\u{301}👍🏽", " a  b ", "'--", "{token}"]
    {
        let answer = sign_on(&gate, name, "json").await;
        let read: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!([&read["id"], &read["username"]], [name, name], "{answer}");
        let answer = sign_on(&gate, name, "xml").await;
        let read = elements(&answer);
        assert_eq!(read[..2], [("id", name), ("username", name)].map(pair), "{answer}");
        let answer = sign_on(&gate, name, "serialize").await;
        let counted =
            format!("s:2:\"id\";s:{0}:\"{name}\";s:8:\"username\";s:{0}:\"{name}\";", name.len());
        assert!(answer.starts_with(&format!("a:6:{{{counted}s:5:\"token\";")), "{answer}");
    }
    gate.stop().await;
}

#[tokio::test]
async fn what_xml_cannot_carry_is_refused_before_anything_is_issued() {
    let gate = without_directory().await;
    let characters: Vec<char> =
        ('\0'..='\u{1f}').chain(['\u{7f}', '\u{85}', '\u{fffe}', '\u{ffff}']).collect();
    let mut tried = 0;
    for character in characters {
        for format in ["json", "xml", "serialize"] {
            let answer = sign_on(&gate, &format!("joe{character}"), format).await;
            assert!(answer.contains("User not found."), "{character:?}: {answer}");
            assert!(!answer.contains("joe"), "{character:?}: {answer}");
            tried += 1;
        }
    }
    assert!(tried > 90);
    let metrics = gate.admin().get("/metrics").await;
    let issued =
        metrics.text().lines().find(|line| line.starts_with("oncegate_links_issued_total{"));
    assert_eq!(issued, None);
    gate.stop().await;
}

/// Calls `check` with many records, and shows the smallest that it does not stand.
fn every_record(check: impl Fn(&Record)) {
    let config = ProptestConfig { cases: CASES, failure_persistence: None, ..Default::default() };
    TestRunner::new(config)
        .run(&record(), |record| {
            check(&record);
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

/// A user's name, and the directory's record of them.
#[derive(Debug, Clone)]
struct Record {
    name: String,
    user: User,
}

impl Record {
    fn written(&self, format: Format) -> String {
        let who = Who::Name { name: self.name.clone(), password: None };
        let granted = Granted {
            token: TOKEN,
            url: "",
            who: &who,
            user: &self.user.username,
            record: Some(&self.user),
        };
        let answer = vendor(Dialect::Activecampaign).write(format, &Outcome::Link(granted));
        assert_eq!(answer.status, 200);
        answer.body
    }

    /// Name and value of everything, in order.
    fn expected(&self, format: &str) -> Vec<(String, Value)> {
        let id = match self.user.id.map(i64::try_from) {
            Some(Ok(id)) => json!(id),
            Some(Err(_)) => json!(u64::MAX.to_string()),
            None => json!(self.name),
        };
        let fields = self.user.fields.iter().map(|(name, value)| {
            let value = match value {
                Scalar::Text(text) => json!(text),
                Scalar::Integer(integer) => json!(integer),
                Scalar::Flag(flag) => json!(u8::from(*flag)),
            };
            (name.as_str(), value)
        });
        [("id", id), ("username", json!(self.user.username))]
            .into_iter()
            .chain(fields)
            .chain([("token", json!(TOKEN)), ("result_code", json!(1))])
            .chain([("result_message", json!("User found")), ("result_output", json!(format))])
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// The same, as XML has it: all is text.
    fn expected_texts(&self, format: &str) -> Vec<(String, String)> {
        let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        self.expected(format).into_iter().map(|(name, value)| (name, text(value))).collect()
    }
}

fn record() -> impl Strategy<Value = Record> {
    let number = || prop_oneof![Just(None), Just(Some(u64::MAX)), (0..1000u64).prop_map(Some)];
    let scalar = prop_oneof![
        4 => text().prop_map(Scalar::Text),
        1 => any::<i64>().prop_map(Scalar::Integer),
        1 => any::<bool>().prop_map(Scalar::Flag),
    ];
    let fields = prop::collection::vec(scalar, 0..5);
    (text(), text(), number(), fields).prop_map(|(name, username, id, fields)| {
        let numbered = |(number, value)| (format!("field_{number}"), value);
        let fields = fields.into_iter().enumerate().map(numbered).collect();
        let user = User { id, username, email: None, password: None, active: true, fields };
        Record { name, user }
    })
}

/// Texts in which what the formats themselves are written with stands as often as all else.
///
/// Carriage returns are among them, though nothing that is issued has one: they too survive.
fn text() -> impl Strategy<Value = String> {
    const OWN: &[&str] = &[
        "\"",
        "'",
        ";",
        ":",
        "{",
        "}",
        "\\",
        "\\u0000",
        "<",
        ">",
        "&",
        "&amp;",
        "&#13;",
        "]]>",
        "<![CDATA[",
        "<!--",
        "</token>",
        "<?",
        "%00",
        "s:1:\"a\";",
        "i:0;",
        "N;",
        "\r",
        "\n",
        "\r\n",
        "\t",
        " ",
        "é",
        "e\u{301}",
        "👍🏽",
        "\u{2028}",
        "\u{feff}",
        "\u{fffd}",
        "\u{10ffff}",
        "\u{200f}",
    ];
    let other = any::<char>().prop_filter_map("what XML cannot carry", |c| {
        let text = c.to_string();
        is_plain(&text).then_some(text)
    });
    let part = prop_oneof![prop::sample::select(OWN).prop_map(str::to_owned), other];
    prop::collection::vec(part, 0..20).prop_map(|parts| parts.concat())
}

/// The elements of a flat document.
fn elements(body: &str) -> Vec<(String, String)> {
    let mut reader = Reader::from_str(body);
    let (mut found, mut open) = (Vec::new(), Vec::new());
    loop {
        match reader.read_event().unwrap() {
            Event::Decl(_) => assert!(open.is_empty()),
            Event::Start(tag) => {
                assert_eq!(tag.attributes().count(), 0);
                open.push(tag.name().as_ref().to_owned());
                if open.len() == 2 {
                    found.push((open[1].clone(), String::new()));
                }
            }
            Event::End(_) => drop(open.pop().unwrap()),
            Event::Text(text) => match open.len() {
                0 => assert_eq!(text.xml10_content(), "\n"),
                2 => found.last_mut().unwrap().1.push_str(&text.xml10_content()),
                _ => panic!("a text beside elements in {body}"),
            },
            Event::GeneralRef(reference) => {
                assert_eq!(open.len(), 2);
                let text = &mut found.last_mut().unwrap().1;
                if let Some(character) = reference.resolve_char_ref().unwrap() {
                    text.push(character);
                } else {
                    let name = reference.xml10_content();
                    text.push_str(resolve_predefined_entity(&name).unwrap());
                }
            }
            Event::Eof => break,
            other => panic!("{other:?} in {body}"),
        }
    }
    assert!(open.is_empty());
    found
}

fn pair((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// PHP, running; it reads one answer a line.
struct Php {
    child: Child,
    pipes: RefCell<(ChildStdin, BufReader<ChildStdout>)>,
}

impl Php {
    /// `None` where PHP or its XML is not installed.
    fn start() -> Option<Self> {
        let has = "exit(extension_loaded('simplexml') && extension_loaded('dom') ? 0 : 1);";
        let probe = Command::new("php").args(["-r", has]).status();
        let found = probe.is_ok_and(|status| status.success());
        if !installed::all(&[("PHP with its XML", found)]) {
            return None;
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/formats.php");
        let mut command = Command::new("php");
        command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Some(Self { child, pipes: RefCell::new((stdin, BufReader::new(stdout))) })
    }

    /// What each of its readers makes of an answer.
    fn read(&self, format: &str, body: &str) -> Value {
        let (stdin, stdout) = &mut *self.pipes.borrow_mut();
        writeln!(stdin, "{format} {}", STANDARD.encode(body)).unwrap();
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).expect("PHP says on standard error what is wrong")
    }
}

impl Drop for Php {
    fn drop(&mut self) {
        // It ends by itself with its input; this ends it where a test failed in the middle.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A gate that knows nobody, and asks nobody.
async fn without_directory() -> Gate {
    vendors::with(|text| {
        let left = [
            "[directory]\nfile = \"directory.toml\"\n",
            // Accounts and resellers are the directory's.
            "[dialects.activeplatform]\nsite = \"panel\"\n",
            "dialects = [\"activeplatform\"]\n",
        ];
        left.into_iter().fold(text, |text, left| {
            assert!(text.contains(left), "the configuration lacks {left}");
            text.replace(left, "")
        })
    })
    .await
}

/// The answer to a call for this name.
async fn sign_on(gate: &Gate, name: &str, format: &str) -> String {
    let (key, name) = (vendors::CAMPAIGN, utf8_percent_encode(name, NON_ALPHANUMERIC));
    let target = format!(
        "/admin/api.php?api_action=singlesignon&api_key={key}&api_output={format}\
         &sso_addr=__self&sso_user={name}"
    );
    let answer = gate.api_as(None).get(&target).await;
    assert_eq!(answer.status, 200);
    answer.text().to_owned()
}
