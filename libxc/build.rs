//! Links Xen's C libraries statically and tells the code which Xen they are for.
//!
//! The `-sys` crates ask for dynamic libraries. A directory that holds only the archives, placed first
//! in the search path, makes the linker take those: the programs then need no Xen soname at run time.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// libxenctrl and what it stands on; the `-sys` crates name only the first of their own.
const ARCHIVES: [&str; 7] =
    ["xenctrl", "xencall", "xenforeignmemory", "xendevicemodel", "xenevtchn", "xentoollog", "xentoolcore"];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-check-cfg=cfg(xen_version, values(\"4.17\"))");
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
