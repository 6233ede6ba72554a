//! `xl`: runs Xen guests.

fn main() {
    println!("{}", libxc::DomId(0));
}
