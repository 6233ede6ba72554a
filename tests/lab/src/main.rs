//! `cargo lab`: real Xen under QEMU.

fn main() {}
