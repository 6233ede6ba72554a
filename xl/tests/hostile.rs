//! Configurations that are none: whatever they hold, the answer comes at once, in little memory, and is no crash.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A build without optimisation on a busy machine needs this; the same takes a tenth in a release.
const AT_ONCE: Duration = Duration::from_secs(20);

/// What the process may have in address space, in KiB: the program itself, and 64 MiB to grow.
const ADDRESS_SPACE: u32 = 192 << 10;

/// As long as a configuration may be, and in TOML.
const LONGEST: usize = 1 << 20;
const LONGEST_TOML: usize = 256 << 10;

/// Gives `xl create -n` a configuration. Its exit status, and what it says on standard error.
fn create(name: &str, text: &[u8]) -> (i32, String) {
    let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("hostile");
    std::fs::create_dir_all(&directory).unwrap();
    let file = directory.join(name);
    std::fs::File::create(&file).unwrap().write_all(text).unwrap();
    let started = Instant::now();
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -v $1 && exec \"$2\" create -n -q \"$3\"", "sh", &ADDRESS_SPACE.to_string()])
        .args([env!("CARGO_BIN_EXE_xl").as_ref(), file.as_os_str()])
        .env("XL_DRYRUN_HOST", "cpus=8,nodes=2")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = Vec::new();
    child.stderr.take().unwrap().read_to_end(&mut said).unwrap();
    let status = child.wait().unwrap();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(started.elapsed() < AT_ONCE, "{name} took {:?}", started.elapsed());
    assert!(said.len() < 100_000, "{name} has an answer of {} bytes", said.len());
    let status = status.code().unwrap_or_else(|| panic!("{name} ends with {status}: {said}"));
    assert!(status < 100, "{name}: status {status}: {said}");
    (status, said)
}

fn refused(name: &str, text: &[u8], why: &str) {
    let (status, said) = create(name, text);
    assert!(status != 0 && said.contains(why), "{name}: status {status}: {said}");
}

/// As many of these as there is room for, between two texts.
fn filled(length: usize, before: &str, piece: impl Fn(usize) -> String, after: &str) -> Vec<u8> {
    let mut text = before.to_string();
    for n in 0.. {
        let piece = piece(n);
        if text.len() + piece.len() + after.len() > length {
            break;
        }
        text.push_str(&piece);
    }
    (text + after).into_bytes()
}

fn junk(length: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

const GUEST: &str = "name=\"a\"\nkernel=\"/k\"\n";

#[test]
fn files_of_five_megabytes_are_refused() {
    for end in ["cfg", "toml"] {
        refused(&format!("settings.{end}"), &filled(5_000_000, GUEST, |n| format!("k{n}=1\n"), ""), "more than");
        refused(&format!("line.{end}"), &[b'x'; 5_000_000], "more than");
        refused(&format!("big-junk.{end}"), &junk(5_000_000), "more than");
    }
}

#[test]
fn lists_of_a_hundred_thousand_are_refused() {
    for (key, item) in [("irqs", "5"), ("vif", "''"), ("cpus", "'1'"), ("unknown", "[1]")] {
        let list = vec![item; 100_000].join(",");
        refused("list.cfg", format!("{GUEST}{key}=[{list}]\n").as_bytes(), "more than 10000 items");
    }
    let numbers = vec!["5"; 100_000].join(",");
    refused("list.toml", format!("{GUEST}irqs=[{numbers}]\n").as_bytes(), "more than 10000 items");
    let added = filled(LONGEST, GUEST, |_| "irqs+=[5]\n".to_string(), "");
    refused("added.cfg", &added, "more than 10000 items");
}

#[test]
fn nesting_is_refused() {
    let deep = |depth: usize| format!("{GUEST}disk={}{}\n", "[".repeat(depth), "]".repeat(depth));
    refused("deep.cfg", deep(1_000).as_bytes(), "nested more than 100 deep");
    refused("deep.toml", deep(1_000).as_bytes(), "error");
    refused("open.cfg", &filled(LONGEST, "a=", |_| "[".to_string(), ""), "nested more than 100 deep");
    refused("open.toml", &filled(LONGEST_TOML, "a=", |_| "[".to_string(), ""), "error");
    refused("dotted.toml", &filled(LONGEST_TOML, "[a", |_| ".a".to_string(), "]\n"), "error");
}

#[test]
fn junk_is_refused() {
    refused("junk.cfg", &junk(LONGEST), "unexpected");
    refused("junk.toml", &junk(LONGEST_TOML), "not UTF-8");
    refused("nul.cfg", &[0; LONGEST], "unexpected");
    refused("elf.cfg", &std::fs::read(env!("CARGO_BIN_EXE_xl")).unwrap()[..LONGEST], "unexpected");
    refused("gzip.cfg", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\x4b\x04\x00\x43\xbe\xb7\xe8", "unexpected");
}

/// One mistake a thousand times: a hundred are shown, the rest are counted.
#[test]
fn many_mistakes_are_told_in_few_words() {
    for (name, before, piece, after) in [
        ("errors.cfg", "", "a=b\n", ""),
        ("quotes.cfg", "", "\"\n", ""),
        ("unknown.cfg", GUEST, "memroy=1\n", ""),
        ("errors.toml", "", "a=b\n", ""),
        ("tables.toml", "", "[[[[\n", ""),
        ("cpuid.cfg", "name='a'\nkernel='/k'\ncpuid=\"host", ",x=1", "\"\n"),
        ("ranges.cfg", "name='a'\nkernel='/k'\ncpus=\"0", ",0-4294967295,^0-7", "\"\n"),
        ("connectors.cfg", "name='a'\nkernel='/k'\nvdispl=[\"connectors=a:x", ";a:x", "\"]\n"),
    ] {
        let length = if name.ends_with("toml") { LONGEST_TOML } else { LONGEST };
        create(name, &filled(length, before, |_| piece.to_string(), after));
    }
    let names = filled(LONGEST, GUEST, |n| format!("k{n}=1\n"), "");
    assert!(create("names.cfg", &names).1.contains("and ") && names.len() > LONGEST - 100);
}

/// Ten thousand devices that are wrong, each in its own way.
#[test]
fn many_wrong_devices_are_told_in_few_words() {
    for key in ["disk", "vif", "pci", "vfb", "p9", "vtpm", "vkb", "usbdev", "usbctrl", "channel", "vdispl", "pvcalls"] {
        let mut devices = String::new();
        for n in 0..10_000 {
            let _ = write!(devices, "\"colour{n}=red\",");
        }
        create("devices.cfg", format!("{GUEST}{key}=[{devices}]\n").as_bytes());
    }
}

/// One device with as many parameters as there is room for.
#[test]
fn endless_devices_are_answered_at_once() {
    for (end, length) in [("cfg", LONGEST), ("toml", LONGEST_TOML)] {
        for key in ["disk", "vif", "vkb", "channel"] {
            let (before, after) = if end == "toml" { ("={", "a=1}]\n") } else { ("=\"", "\"]\n") };
            let before = format!("{GUEST}{key}=[{}", before.trim_start_matches('='));
            create(&format!("{key}.{end}"), &filled(length, &before, |n| format!("a{n}=1,"), after));
        }
    }
}

#[test]
fn numbers_without_measure_are_refused() {
    for line in ["vcpus=4000000000", "maxvcpus=2147483647", "memory=9223372036854775807", "vncdisplay=99999999999"] {
        let text = format!("{GUEST}type=\"hvm\"\n{line}\n");
        refused("number.cfg", text.as_bytes(), "error");
    }
    let nodes = "vnuma=[[\"pnode=0\",\"size=1\",\"vcpus=0-4294967295\"]]\n";
    refused("nodes.cfg", format!("{GUEST}type=\"hvm\"\n{nodes}").as_bytes(), "error");
}
