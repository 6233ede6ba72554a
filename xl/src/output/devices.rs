//! Devices as stock xl's tables, and as JSON: `block-list`, `network-list`.

use libxl::device::{Nic, vdev};
use libxl::types::DiskInfo;
use serde::Serialize;
use std::fmt::Write;

/// The head of the table of `xl block-list`.
pub(crate) fn disks_head() -> String {
    format!(
        "{:<5} {:<3} {:<6} {:<5} {:<6} {:<8} {:<30}\n",
        "Vdev", "BE", "handle", "state", "evt-ch", "ring-ref", "BE-path"
    )
}

/// The rows of one domain.
pub(crate) fn disks(disks: &[DiskInfo]) -> String {
    let mut text = String::new();
    for disk in disks {
        let (devid, backend) = (disk.devid.unwrap_or_default(), disk.ends.backend.as_deref().unwrap_or_default());
        let _ = writeln!(
            text,
            "{devid:<5} {:<3} {:<6} {:<5} {:<6} {:<8} {backend:<30}",
            disk.ends.backend_id, disk.ends.frontend_id, disk.state, disk.evtch, disk.rref
        );
    }
    text
}

/// The head of the table of `xl network-list`.
pub(crate) fn nics_head() -> String {
    format!(
        "{:<3} {:<2} {:<17} {:<6} {:<5} {:<6} {:>5}/{:<5} {:<30}\n",
        "Idx", "BE", "Mac Addr.", "handle", "state", "evt-ch", "tx-", "rx-ring-ref", "BE-path"
    )
}

/// The rows of one domain.
pub(crate) fn nics(nics: &[Nic]) -> String {
    let mut text = String::new();
    for Nic { mac, info } in nics {
        let (devid, backend) = (info.devid.unwrap_or_default(), info.ends.backend.as_deref().unwrap_or_default());
        let _ = writeln!(
            text,
            "{devid:<3} {:<2} {mac}{devid:>6} {:>5} {:>6} {:>5}/{:<11} {backend:<30}",
            info.ends.backend_id, info.state, info.evtch, info.rref_tx, info.rref_rx
        );
    }
    text
}

/// A disk in JSON.
#[derive(Serialize)]
pub(crate) struct DiskJson {
    domid: u32,
    vdev: String,
    devid: u32,
    backend_domid: u32,
    backend: String,
    frontend: String,
    state: Option<i32>,
    event_channel: Option<i32>,
    ring_ref: Option<i32>,
}

impl From<&DiskInfo> for DiskJson {
    fn from(disk: &DiskInfo) -> DiskJson {
        let devid = disk.devid.unwrap_or_default();
        DiskJson {
            domid: disk.ends.frontend_id,
            vdev: vdev::name(devid),
            devid,
            backend_domid: disk.ends.backend_id,
            backend: disk.ends.backend.clone().unwrap_or_default(),
            frontend: disk.ends.frontend.clone().unwrap_or_default(),
            state: known(disk.state),
            event_channel: known(disk.evtch),
            ring_ref: known(disk.rref),
        }
    }
}

/// A network interface in JSON.
#[derive(Serialize)]
pub(crate) struct NicJson {
    domid: u32,
    devid: u32,
    mac: String,
    backend_domid: u32,
    backend: String,
    frontend: String,
    state: Option<i32>,
    event_channel: Option<i32>,
    tx_ring_ref: Option<i32>,
    rx_ring_ref: Option<i32>,
}

impl From<&Nic> for NicJson {
    fn from(Nic { mac, info }: &Nic) -> NicJson {
        NicJson {
            domid: info.ends.frontend_id,
            devid: info.devid.unwrap_or_default(),
            mac: mac.to_string(),
            backend_domid: info.ends.backend_id,
            backend: info.ends.backend.clone().unwrap_or_default(),
            frontend: info.ends.frontend.clone().unwrap_or_default(),
            state: known(info.state),
            event_channel: known(info.evtch),
            tx_ring_ref: known(info.rref_tx),
            rx_ring_ref: known(info.rref_rx),
        }
    }
}

/// What libxl gives as -1 is not there.
pub(super) fn known(number: i32) -> Option<i32> {
    (number >= 0).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use libxl::types::{DeviceEnds, NicInfo};

    fn ends(backend: &str) -> DeviceEnds {
        DeviceEnds { backend: Some(backend.into()), frontend_id: 1, ..Default::default() }
    }

    // The tables below were printed by stock xl 4.17.

    #[test]
    fn disks_are_stock_xls_table() {
        let disk = |devid, kind: &str, state, evtch, rref| DiskInfo {
            ends: ends(&format!("/local/domain/0/backend/{kind}/1/{devid}")),
            devid: Some(devid),
            state,
            evtch,
            rref,
        };
        let table = disks_head() + &disks(&[disk(51712, "vbd", 4, -1, -1), disk(51728, "qdisk", 4, 17, 10)]);
        let expected = "\
Vdev  BE  handle state evt-ch ring-ref BE-path                       
51712 0   1      4     -1     -1       /local/domain/0/backend/vbd/1/51712
51728 0   1      4     17     10       /local/domain/0/backend/qdisk/1/51728
";
        assert_eq!(table, expected);
    }

    #[test]
    fn nics_are_stock_xls_table() {
        let info = NicInfo {
            ends: ends("/local/domain/0/backend/vif/1/0"),
            devid: Some(0),
            state: 4,
            evtch: -1,
            rref_tx: 522,
            rref_rx: -1,
        };
        let nic = Nic { mac: "00:16:3e:11:22:33".parse().unwrap(), info };
        let expected = "\
Idx BE Mac Addr.         handle state evt-ch   tx-/rx-ring-ref BE-path                       
0   0  00:16:3e:11:22:33     0     4     -1   522/-1          /local/domain/0/backend/vif/1/0
";
        assert_eq!(nics_head() + &nics(std::slice::from_ref(&nic)), expected);
        let json = serde_json::to_value(NicJson::from(&nic)).unwrap();
        assert_eq!((json["tx_ring_ref"].as_i64(), json["rx_ring_ref"].is_null()), (Some(522), true));
    }
}
