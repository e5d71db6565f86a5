//! The document of the API against what the API is: its paths, its codes, its examples.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails where it stands"
)]

use std::collections::{BTreeMap, BTreeSet};

use oncegate::edge::api;
use serde_json::{Map, Value};

const DENIALS: &str = include_str!("../src/gate/denial.rs");
const ROUTER: &str = include_str!("../src/edge/api.rs");
const METHODS: [&str; 3] = ["get", "post", "delete"];

fn document() -> Value {
    serde_json::from_str(api::OPENAPI).expect("the document is JSON")
}

fn object<'v>(value: &'v Value, path: &str) -> &'v Map<String, Value> {
    value.pointer(path).and_then(Value::as_object).unwrap_or_else(|| panic!("no object at {path}"))
}

/// Follows a `$ref` within the document.
fn resolved<'v>(document: &'v Value, value: &'v Value) -> &'v Value {
    match value.get("$ref").and_then(Value::as_str) {
        None => value,
        Some(to) => {
            let path = to.strip_prefix('#').expect("a reference within the document");
            resolved(document, document.pointer(path).unwrap_or_else(|| panic!("no {to}")))
        }
    }
}

/// Each status and code that a denial can have: `(410, "expired", …`.
fn denials() -> BTreeSet<(u16, String)> {
    let faces = DENIALS.split('(').filter_map(|text| {
        let (status, rest) = text.trim_start().split_once(',')?;
        let (code, _) = rest.trim_start().strip_prefix('"')?.split_once('"')?;
        Some((status.parse().ok()?, code.to_owned()))
    });
    let faces: BTreeSet<(u16, String)> = faces.collect();
    assert!(faces.len() > 30, "the source is read wrongly: {faces:?}");
    faces
}

/// Each operation, as `post /v1/links`.
fn operations(document: &Value) -> BTreeMap<String, Value> {
    let mut operations = BTreeMap::new();
    for (path, item) in object(document, "/paths") {
        for (method, operation) in item.as_object().expect("a path item") {
            assert!(METHODS.contains(&method.as_str()), "{method} {path}");
            operations.insert(format!("{method} {path}"), operation.clone());
        }
    }
    assert!(operations.len() >= 7, "{operations:?}");
    operations
}

#[test]
fn it_is_of_this_version() {
    assert_eq!(document()["openapi"], "3.1.0");
    assert_eq!(document()["info"]["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn every_code_of_a_denial_is_listed_and_no_other() {
    let document = document();
    let listed = document["components"]["schemas"]["Code"]["enum"].as_array().unwrap();
    let listed: BTreeSet<String> =
        listed.iter().map(|code| code.as_str().unwrap().to_owned()).collect();
    let codes: BTreeSet<String> = denials().into_iter().map(|(_, code)| code).collect();
    assert_eq!(listed, codes);
}

#[test]
fn every_path_of_the_router_is_described_and_no_other() {
    let document = document();
    let described: BTreeSet<&str> =
        object(&document, "/paths").keys().map(String::as_str).collect();
    let literals = ROUTER.split('"').filter(|text| text.starts_with('/') && !text.contains('\n'));
    let routed: BTreeSet<&str> =
        literals.map(|path| if path == "/v1/links/" { "/v1/links/{id}" } else { path }).collect();
    assert!(routed.len() >= 7, "{routed:?}");
    assert_eq!(described, routed);
}

#[test]
fn every_refusal_has_the_status_its_code_has() {
    let (document, denials) = (document(), denials());
    let mut seen = 0;
    for (name, operation) in operations(&document) {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let response = resolved(&document, response);
            let Some(problem) = response.pointer("/content/application~1problem+json") else {
                assert!(status.starts_with('2'), "{name} {status} is not a problem");
                continue;
            };
            let status: u16 = status.parse().unwrap();
            let codes = problem.pointer("/schema/properties/code/enum").unwrap();
            for code in codes.as_array().unwrap() {
                let code = code.as_str().unwrap().to_owned();
                assert!(denials.contains(&(status, code.clone())), "{name}: {status} {code}");
                seen += 1;
            }
            let example = &problem["example"];
            assert_eq!(example["status"], status, "{name}");
            let code = example["code"].as_str().unwrap();
            assert_eq!(example["type"], format!("urn:oncegate:problem:{code}"), "{name}");
            let title = format!("\"{}\"", example["title"].as_str().unwrap());
            assert!(DENIALS.contains(&title), "{name} {status}: {title}");
        }
    }
    assert!(seen > 50, "{seen}");
}

#[test]
fn what_the_directory_may_say_is_described_where_links_are_asked_for() {
    let document = document();
    let link = &operations(&document)["post /v1/links"]["responses"];
    let codes = |status: &str| {
        let path = "/content/application~1problem+json/schema/properties/code/enum";
        resolved(&document, &link[status]).pointer(path).unwrap().as_array().unwrap().clone()
    };
    assert!(codes("422").contains(&"unknown_user".into()));
    assert!(codes("502").contains(&"bad_gateway".into()));
    let batch = &operations(&document)["post /v1/links/batch"]["responses"];
    assert!(batch.get("502").is_none(), "there each has its own");
}

#[test]
fn every_call_but_the_document_needs_a_key() {
    let document = document();
    assert_eq!(document["security"], serde_json::json!([{ "key": [] }, { "certificate": [] }]));
    assert_eq!(document["components"]["securitySchemes"]["key"]["scheme"], "bearer");
    for (name, operation) in operations(&document) {
        let open = name == "get /openapi.json";
        assert_eq!(operation.get("security").is_some(), open, "{name}");
        assert_eq!(operation["responses"].get("401").is_none(), open, "{name}");
    }
}

#[test]
fn every_example_has_what_its_schema_requires_and_nothing_unknown() {
    let document = document();
    let mut seen = 0;
    for (name, operation) in operations(&document) {
        let responses = operation["responses"].as_object().unwrap().values();
        for body in responses.chain(operation.get("requestBody")) {
            let body = resolved(&document, body);
            let Some(json) = body.pointer("/content/application~1json") else { continue };
            let Some(examples) = json.get("examples").and_then(Value::as_object) else { continue };
            for example in examples.values() {
                fits(&document, &name, &json["schema"], &example["value"]);
                seen += 1;
            }
        }
    }
    assert!(seen > 8, "{seen}");
}

/// Required and known members; what more a schema says is checked by whoever uses it.
fn fits(document: &Value, name: &str, schema: &Value, value: &Value) {
    let schema = resolved(document, schema);
    if let (Some(items), Some(values)) = (schema.get("items"), value.as_array()) {
        return values.iter().for_each(|value| fits(document, name, items, value));
    }
    if let Some(choices) = schema.get("oneOf").and_then(Value::as_array) {
        let is_problem = value.get("code").is_some();
        let choice = if is_problem { choices.last() } else { choices.first() };
        return fits(document, name, choice.unwrap(), value);
    }
    let known = schema["properties"].as_object().unwrap_or_else(|| panic!("{name}: {schema}"));
    for member in value.as_object().unwrap().keys() {
        assert!(known.contains_key(member), "{name}: {member}");
    }
    for member in schema["required"].as_array().unwrap() {
        assert!(value.get(member.as_str().unwrap()).is_some(), "{name}: {member} is missing");
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn walk(document: &Value, value: &Value, seen: &mut usize) {
        if value.get("$ref").is_some() {
            resolved(document, value);
            *seen += 1;
        }
        match value {
            Value::Object(members) => members.values().for_each(|v| walk(document, v, seen)),
            Value::Array(items) => items.iter().for_each(|v| walk(document, v, seen)),
            _ => {}
        }
    }
    let document = document();
    let mut seen = 0;
    walk(&document, &document, &mut seen);
    assert!(seen > 50, "{seen}");
}
