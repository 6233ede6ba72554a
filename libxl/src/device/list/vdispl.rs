//! The list of PV displays.

use super::{numbers, numbers_in, of_kind, values};
use crate::ctx::Ctx;
use crate::device::DeviceKind;
use crate::error::Result;
use crate::types::{ConnectorInfo, VdisplInfo};
use libxc::DomId;

/// The displays of a domain (`libxl_device_vdispl_list`). One whose connectors cannot be read is left out.
pub fn vdispls(ctx: &Ctx, domid: DomId) -> Result<Vec<VdisplInfo>> {
    let mut found = Vec::new();
    for (devid, device) in of_kind(ctx, domid, DeviceKind::Vdispl)? {
        let [state, be_alloc] = numbers(ctx, &device, ["state", "be-alloc"])?;
        let Some(connectors) = connectors(ctx, &device.frontend_path())? else { continue };
        found.push(VdisplInfo { ends: device.ends(), devid: Some(devid), state, be_alloc: be_alloc > 0, connectors });
    }
    Ok(found)
}

fn connectors(ctx: &Ctx, frontend: &str) -> Result<Option<Vec<ConnectorInfo>>> {
    let mut found = Vec::new();
    for directory in super::numbered(ctx, frontend)? {
        let [unique_id, resolution] = values(ctx, &directory, ["unique-id", "resolution"])?;
        let size = resolution.as_deref().and_then(size);
        let (Some(unique_id), Some((width, height))) = (unique_id, size) else { return Ok(None) };
        let nodes = ["req-event-channel", "req-ring-ref", "evt-event-channel", "evt-ring-ref"];
        let [req_evtch, req_rref, evt_evtch, evt_rref] = numbers_in(ctx, &directory, nodes)?;
        let unique_id = Some(unique_id);
        found.push(ConnectorInfo { unique_id, width, height, req_evtch, req_rref, evt_evtch, evt_rref });
    }
    Ok(Some(found))
}

/// `1920x1080`
fn size(resolution: &str) -> Option<(u32, u32)> {
    let (width, height) = resolution.split_once('x')?;
    Some((width.parse().ok()?, height.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::super::super::nodes::tests::host;
    use super::super::super::{vdispl, write_all};
    use super::*;
    use crate::types::{ConnectorParam, DeviceVdispl};

    #[test]
    fn what_was_written_is_listed() {
        let (fake, ctx) = host(&[1, 2]);
        let connector = |id: &str| ConnectorParam { unique_id: Some(id.into()), width: 1920, height: 1080 };
        let connectors = vec![connector("left"), connector("right")];
        let display =
            DeviceVdispl { devid: Some(0), backend_domid: 2, be_alloc: true, connectors, ..Default::default() };
        write_all(&ctx, &[vdispl(DomId(1), &display).unwrap()]).unwrap();
        let list = vdispls(&ctx, DomId(1)).unwrap();
        assert_eq!((list.len(), list[0].be_alloc, list[0].connectors.len()), (1, true, 2));
        let right = &list[0].connectors[1];
        assert_eq!((right.unique_id.as_deref(), right.width, right.req_rref), (Some("right"), 1920, -1));
        fake.set("/local/domain/1/device/vdispl/0/1/resolution", b"wide");
        assert!(vdispls(&ctx, DomId(1)).unwrap().is_empty());
    }
}
