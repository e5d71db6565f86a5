//! `deploy/container/`: linted, built by a real builder around a static binary, and run.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use crate::{
    deployed, run,
    support::{gate::key_hash, installed},
    text_of,
};

const FILE: &str = "container/Containerfile";

#[test]
fn a_linter_finds_no_fault() {
    let hadolint = installed::target().join("venv/bin/hadolint");
    if !installed::all(&[("hadolint", hadolint.exists())]) {
        return;
    }
    assert_eq!(run(Command::new(hadolint).arg(deployed(FILE))), "");
}

#[test]
fn what_is_built_runs_alone_read_only_and_as_nobody() {
    let gate = installed::target().join("static/oncegate");
    let root = rustix::process::geteuid().is_root();
    if !installed::all(&[
        ("buildah", installed::runs("buildah")),
        ("a static binary", gate.exists()),
        ("root, to enter an image's files", root),
    ]) {
        return;
    }
    let built = tempfile::tempdir().unwrap();
    let builder = Builder { dir: built.path() };
    builder.stand_in(&gate);
    builder.build();

    // What was copied is enough for cargo, which is asked to build as README says.
    let asked = fs::read_to_string(built.path().join("out/asked")).unwrap();
    assert!(asked.contains("RUSTFLAGS=-C target-feature=+crt-static\n"), "{asked}");
    assert!(asked.contains("--locked\n"), "{asked}");
    let mut metadata = Command::new("cargo");
    metadata.args(["metadata", "--format-version=1", "--no-deps", "--offline", "--locked"]);
    run(metadata.arg("--manifest-path").arg(built.path().join("out/context/Cargo.toml")));
    let mut context: Vec<_> = fs::read_dir(built.path().join("out/context"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    context.sort();
    assert_eq!(context, ["Cargo.lock", "Cargo.toml", "benches", "src"], "no key, no state");

    let image = builder.image();
    let config = &image["Docker"]["config"];
    assert_eq!(config["User"], "65532:65532");
    assert_eq!(config["Entrypoint"], serde_json::json!(["/oncegate"]));
    assert_eq!(config["Cmd"], serde_json::json!(["serve"]));
    assert_eq!(config["Healthcheck"]["Test"], serde_json::json!(["CMD", "/oncegate", "health"]));
    let files = builder.files();
    let mut found = Vec::new();
    list(Path::new(&files), Path::new(&files), &mut found);
    assert_eq!(found, ["etc/ssl/certs/ca-certificates.crt", "oncegate"]);

    let brought = tempfile::tempdir().unwrap();
    for volume in ["keys", "state"] {
        fs::create_dir(brought.path().join(volume)).unwrap();
    }
    fs::write(brought.path().join("oncegate.toml"), configuration()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/deploy/container.sh");
    let env = config["Env"].as_array().unwrap().iter().map(|pair| pair.as_str().unwrap());
    let mut container = Command::new("timeout");
    container.args(["--kill-after=1", "120"]).arg(script).args([&files]).arg(brought.path());
    let said = run(container.args(env));
    let log = fs::read_to_string(brought.path().join("log")).unwrap_or_default();
    assert_eq!(
        said.lines().collect::<Vec<_>>(),
        [
            "made /etc/oncegate/keys/current.pem",
            "made /etc/oncegate/keys/next.pem",
            "made /etc/oncegate/keys/session.key",
            "/etc/oncegate/oncegate.toml is good",
        ]
        .into_iter()
        .chain(said.lines().filter(|line| line.starts_with("signing key")))
        .chain(["health: ready", "Uid: 65532 65532 65532 65532", "CapEff: 0000000000000000"])
        .chain(said.lines().filter(|line| line.starts_with("CapBnd")))
        .chain(["NoNewPrivs: 1", "application: 200", "ended: 0"])
        .collect::<Vec<_>>(),
        "{log}"
    );
}

/// Every file below a folder, sorted.
fn list(base: &Path, dir: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            list(base, &path, found);
        } else {
            found.push(path.strip_prefix(base).unwrap().to_str().unwrap().to_owned());
        }
    }
    found.sort();
}

/// A site behind a service name, and a directory over https: both need what an image may lack.
fn configuration() -> String {
    let hash = key_hash("unused");
    format!(
        r#"[gate]
name = "gate"
issuer = "https://login.example.com"
[directory]
url = "https://users.example.com/v1"
token = "unused"
[[sites]]
name = "panel"
origin = "https://panel.example.com"
upstream = "http://panel:3000"
anonymous = "pass"
[[callers]]
name = "billing"
key_sha256 = ["{hash}"]
sites = ["panel"]
"#
    )
}

/// A container builder with images of its own, in place of those of a registry.
struct Builder<'d> {
    dir: &'d Path,
}

impl Builder<'_> {
    fn buildah(&self) -> Command {
        let mut buildah = Command::new("buildah");
        buildah
            .arg("--root")
            .arg(self.dir.join("store"))
            .arg("--runroot")
            .arg(self.dir.join("run"));
        buildah.args(["--storage-driver=vfs"]).env("BUILDAH_ISOLATION", "chroot");
        buildah
    }

    /// An image under the name that the first stage starts from, with this machine's shell and, in
    /// place of a compiler, what has been compiled.
    fn stand_in(&self, gate: &Path) {
        let dir = self.dir.join("base");
        for name in ["given", "out"] {
            fs::create_dir_all(self.dir.join(name)).unwrap();
        }
        fs::create_dir_all(dir.join("bin")).unwrap();
        fs::copy(gate, self.dir.join("given/oncegate")).unwrap();
        let cargo = "#!/bin/sh\nset -e\n\
            printf '%s\\n' \"RUSTFLAGS=$RUSTFLAGS\" \"$@\" > /out/asked\n\
            mkdir /out/context\ncp -R . /out/context\n\
            mkdir -p target/made-here/release\ncp /given/oncegate target/made-here/release/\n";
        let rustc = "#!/bin/sh\n[ \"$*\" = '--print host-tuple' ] && echo made-here\n";
        fs::write(dir.join("bin/cargo"), cargo).unwrap();
        fs::write(dir.join("bin/rustc"), rustc).unwrap();
        fs::copy("/etc/ssl/certs/ca-certificates.crt", dir.join("ca-certificates.crt")).unwrap();
        let file = "FROM scratch\nCOPY --chmod=755 bin /stand-in\n\
            COPY ca-certificates.crt /etc/ssl/certs/\nENV PATH=/stand-in:/usr/bin\n";
        fs::write(dir.join("Containerfile"), file).unwrap();
        let text = text_of(FILE);
        let from = text.lines().find_map(|line| line.strip_prefix("FROM "));
        let name = from.and_then(|from| from.strip_suffix(" AS build")).unwrap();
        run(self.buildah().args(["build", "-q", "-t", name]).arg(dir));
    }

    fn build(&self) {
        let mut build = self.buildah();
        build.args(["build", "--pull-never", "--format=docker", "-t", "oncegate"]);
        for path in ["/usr", "/bin", "/lib", "/lib64"] {
            build.arg(format!("--volume={path}:{path}:ro"));
        }
        for (name, mode) in [("given", "ro"), ("out", "rw")] {
            let path = self.dir.join(name);
            build.arg(format!("--volume={}:/{name}:{mode}", path.display()));
        }
        build.arg("-f").arg(deployed(FILE)).arg(env!("CARGO_MANIFEST_DIR"));
        run(&mut build);
    }

    /// What the builder knows of the image.
    fn image(&self) -> Value {
        let said = run(self.buildah().args(["inspect", "--type=image", "oncegate"]));
        serde_json::from_str(&said).unwrap()
    }

    /// Where the image's files are.
    fn files(&self) -> String {
        let container = run(self.buildah().args(["from", "--pull-never", "oncegate"]));
        run(self.buildah().args(["mount", container.trim()])).trim().to_owned()
    }
}
