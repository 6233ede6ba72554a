//! Links Xen's C libraries statically and tells the code which Xen they are for.
//!
//! The `-sys` crates ask for dynamic libraries. A directory that holds only the archives, placed first
//! in the search path, makes the linker take those: the programs then need no Xen soname at run time.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// libxenctrl and what it stands on; the `-sys` crates name only the first of their own.
const ARCHIVES: [&str; 7] =
    ["xenctrl", "xencall", "xenforeignmemory", "xendevicemodel", "xenevtchn", "xentoollog", "xentoolcore"];

/// The version of the control interface (`XEN_DOMCTL_INTERFACE_VERSION`) of each release of Xen we know.
const RELEASES: [(u32, &str); 1] = [(0x15, "4.17")];

/// Where distributions put Xen's public headers.
const DOMCTL_HEADER: &str = "/usr/include/xen/domctl.h";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    link_archives();
    tell_version();
}

fn link_archives() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let dir = out.join("archives");
    fs::create_dir_all(&dir).expect("creating the archive directory");
    for name in ARCHIVES {
        link_archive(name, &dir).unwrap_or_else(|e| {
            panic!("lib{name}.a: {e}; install Xen's development files (Debian: apt install libxen-dev)")
        });
        println!("cargo:rustc-link-lib=dylib={name}");
    }
    println!("cargo:rustc-link-search=native={}", dir.display());
}

/// Puts a link to the system's `lib<name>.a` into `dir`.
fn link_archive(name: &str, dir: &Path) -> io::Result<()> {
    let file = format!("lib{name}.a");
    let found = ["/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib"]
        .iter()
        .map(|d| Path::new(d).join(&file))
        .find(|p| p.exists())
        .ok_or(io::ErrorKind::NotFound)?;
    let link = dir.join(&file);
    match fs::remove_file(&link) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    std::os::unix::fs::symlink(found, link)
}

/// Sets `cfg(xen_version)` and the variable `XEN_VERSION` from the installed headers.
fn tell_version() {
    println!("cargo:rerun-if-changed={DOMCTL_HEADER}");
    let known: Vec<String> = RELEASES.iter().map(|(_, name)| format!("{name:?}")).collect();
    println!("cargo:rustc-check-cfg=cfg(xen_version, values({}))", known.join(", "));
    let header = fs::read_to_string(DOMCTL_HEADER)
        .unwrap_or_else(|e| panic!("{DOMCTL_HEADER}: {e}; install Xen's development files"));
    let interface = interface_version(&header).expect("domctl.h defines XEN_DOMCTL_INTERFACE_VERSION");
    let (_, name) = RELEASES.iter().find(|(version, _)| *version == interface).unwrap_or_else(|| {
        panic!("{DOMCTL_HEADER}: control interface {interface:#x} is of no supported release ({})", known.join(", "))
    });
    println!("cargo:rustc-cfg=xen_version={name:?}");
    println!("cargo:rustc-env=XEN_VERSION={name}");
}

/// The number in `#define XEN_DOMCTL_INTERFACE_VERSION 0x00000015`.
fn interface_version(header: &str) -> Option<u32> {
    let line = header.lines().find(|l| l.starts_with("#define XEN_DOMCTL_INTERFACE_VERSION"))?;
    u32::from_str_radix(line.split_whitespace().nth(2)?.trim_start_matches("0x"), 16).ok()
}
