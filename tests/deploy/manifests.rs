//! YAML files of `deploy/`, as values.

use std::process::Command;

use serde_json::Value;

use crate::{deployed, run, support::installed};

const READ: &str = "import json, sys, yaml\n\
    print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";

/// Whether what reads and judges YAML is installed.
pub(crate) fn readable() -> bool {
    let tools = ["kubernetes-validate", "python"];
    let tool =
        |name: &'static str| (name, installed::target().join("venv/bin").join(name).exists());
    installed::all(&tools.map(tool))
}

/// A Python of the virtual environment.
pub(crate) fn python(script: &str) -> Command {
    let mut python = Command::new(installed::target().join("venv/bin/python"));
    python.args(["-c", script]);
    python
}

/// The documents of a file below `deploy/`, as `PyYAML` reads them.
pub(crate) fn documents(name: &str) -> Vec<Value> {
    let documents: Vec<Value> =
        serde_json::from_str(&run(python(READ).arg(deployed(name)))).unwrap();
    assert!(!documents.is_empty(), "{name} has no document");
    documents
}

/// Each item of an array; none where there is no array.
pub(crate) fn each(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A text that must be there.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}
