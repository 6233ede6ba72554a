//! Whole configurations as people write them: those that come with Xen and Debian, and our own in `guests/`, with the
//! constructs of many origins.

use parity::cases::Case;
use parity::compare::{configurations, difference, runner};
use std::path::{Path, PathBuf};

/// The files in a directory whose names are wanted, sorted.
fn files(directory: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).expect("the directory is there");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|file| wanted(&name_of(file)));
    files.sort();
    files
}

fn name_of(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn text_of(file: &Path) -> String {
    std::fs::read_to_string(file).expect("the file can be read")
}

#[test]
fn our_examples_are_read_alike() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("guests");
    let cases: Vec<Case> = files(&directory, |name| name.ends_with(".cfg"))
        .iter()
        .map(|file| Case { name: name_of(file), text: text_of(file) })
        .collect();
    assert!(cases.len() > 30, "{}", cases.len());
    let runner = runner("examples");
    configurations(&runner, &cases, "examples");
    for case in &cases {
        let (ours, messages) = runner.call_ours(&["create", "-n", &format!("{}.cfg", case.name)]).expect("xl runs");
        assert_eq!(ours.status, Some(0), "{}: {messages}", case.name);
    }
}

/// The examples have no UUID and let xl choose one: it is given here.
#[test]
fn debians_examples_are_read_alike() {
    let runner = runner("debian");
    let files = files(&runner.stock.examples, |name| name.starts_with("xlexample"));
    assert!(files.len() >= 3, "{files:?}");
    let uuid = "uuid=\"01234567-89ab-cdef-0123-456789abcdef\"";
    let conf = runner.stock.examples.join("xl.conf").to_string_lossy().into_owned();
    for file in files {
        let file = file.to_string_lossy();
        let (stock, ours, messages) =
            runner.call_with_xl_conf(&conf, &["-N", "create", &file, uuid]).expect("both programs run");
        assert_eq!(stock.status, Some(0), "{file}");
        assert_eq!(difference(&stock, &ours), None, "{file}: {messages}");
    }
}

/// A configuration in TOML and the same in xl.cfg's form, side by side.
#[test]
fn toml_examples_say_what_their_twins_say() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("guests");
    let runner = runner("twins");
    let twins = files(&directory, |name| name.ends_with(".toml"));
    assert!(twins.len() >= 3, "{twins:?}");
    for toml in twins {
        let [(cfg, _), (toml, messages)] = [toml.with_extension("cfg"), toml]
            .map(|file| runner.call_ours(&["create", "-n", &file.to_string_lossy()]).expect("xl runs"));
        assert_eq!(toml.status, Some(0), "{messages}");
        assert_eq!(cfg, toml, "{messages}");
    }
}
