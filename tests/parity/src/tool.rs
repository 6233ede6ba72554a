//! The stream tools: stock's, which are in Python and not made to be called twice, and ours.

use crate::stock::Stock;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An empty directory of this name among a test's temporary files.
pub fn directory(temporary: &str, name: &str) -> PathBuf {
    let directory = Path::new(temporary).join(name);
    drop(fs::remove_dir_all(&directory));
    fs::create_dir_all(&directory).expect("a directory for the streams");
    directory
}

/// Whether stock's tool takes each of many streams. `driver` is Python: its arguments are the tool's file and `streams`,
/// and it prints the tool's status for each stream.
pub fn stocks_verdicts(stock: &Stock, tool: &str, driver: &str, streams: &Path) -> Vec<bool> {
    let programs = stock.program.parent().expect("stock xl is in a directory");
    let output = Command::new("python3")
        .args(["-c", driver])
        .arg(programs.join(tool))
        .arg(streams)
        .env("PYTHONPATH", programs.join("../lib/python"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("python3 runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("numbers").lines().map(|status| status == "0").collect()
}

/// Builds our tool of this name.
pub fn ours(tool: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let build = ["build", "--quiet", "--package", "helpers", "--bin", tool];
    let built = Command::new(env!("CARGO")).args(build).current_dir(&root).status().expect("cargo runs");
    assert!(built.success(), "building {tool} failed");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
    target.join("debug").join(tool)
}
