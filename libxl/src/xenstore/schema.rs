//! Where things are in xenstore (`docs/misc/xenstore-paths.pandoc`). Devices are in
//! [`crate::device::Device`].

use libxc::DomId;
use std::fmt::Display;

/// A domain's own directory, which it may read: `/local/domain/D`.
pub fn domain(domid: DomId) -> String {
    format!("/local/domain/{domid}")
}

/// What the toolstack knows about a domain, out of its reach: `/libxl/D`.
pub fn libxl(domid: DomId) -> String {
    format!("/libxl/{domid}")
}

/// What stays the same over a domain's reboots and migrations: `/vm/UUID`.
pub fn vm(uuid: impl Display) -> String {
    format!("/vm/{uuid}")
}

/// The device model of a domain, kept with the domain that runs it: `/local/domain/DM/device-model/D`.
pub fn device_model(runs_in: DomId, domid: DomId) -> String {
    format!("/local/domain/{runs_in}/device-model/{domid}")
}

/// What a domain asks and answers by name: `/local/domain/D/control/shutdown`.
pub fn control(domid: DomId, name: &str) -> String {
    format!("/local/domain/{domid}/control/{name}")
}

/// All devices of a domain, as the toolstack knows them: `/libxl/D/device`.
pub fn devices(domid: DomId) -> String {
    format!("/libxl/{domid}/device")
}

/// All backends that a domain runs: `/local/domain/D/backend`.
pub fn backends(domid: DomId) -> String {
    format!("/local/domain/{domid}/backend")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_valid() {
        let uuid = uuid::uuid!("2B383046-e58e-11f1-8b33-33310486262e");
        let d = DomId(7);
        assert_eq!(vm(uuid), "/vm/2b383046-e58e-11f1-8b33-33310486262e");
        for path in [domain(d), libxl(d), vm(uuid), device_model(DomId(0), d), control(d, "sysrq"), devices(d)] {
            crate::xenstore::check_path(&path).unwrap();
        }
        assert_eq!(backends(d), "/local/domain/7/backend");
    }
}
