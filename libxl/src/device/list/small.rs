//! The lists of keyboards, trusted platform modules and channels.

use super::{numbers, of_kind, values};
use crate::ctx::Ctx;
use crate::device::DeviceKind;
use crate::domain::tty::pty;
use crate::error::Result;
use crate::types::{ChannelInfo, ChannelInfoEnd, ChannelPty, VkbBackend, VkbInfo, VtpmInfo};
use crate::xenstore::Store;
use libxc::DomId;

/// A keyboard, with what its backend knows of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Vkb {
    /// What the backend knows it by.
    pub unique_id: Option<String>,
    /// What serves it.
    pub backend_type: VkbBackend,
    /// How it is doing.
    pub info: VkbInfo,
}

/// The keyboards of a domain (`libxl_device_vkb_list`).
pub fn vkbs(ctx: &Ctx, domid: DomId) -> Result<Vec<Vkb>> {
    let mut found = Vec::new();
    for (devid, device) in of_kind(ctx, domid, DeviceKind::Vkbd)? {
        let backend_type = match device.backend_kind {
            DeviceKind::Vinput => VkbBackend::Linux,
            _ => VkbBackend::Qemu,
        };
        let [state, evtch, rref] = numbers(ctx, &device, ["state", "event-channel", "page-gref"])?;
        let info = VkbInfo { ends: device.ends(), devid: Some(devid), state, evtch, rref };
        let unique_id = ctx.xs()?.read_optional(&format!("{}/unique-id", device.libxl_path()))?;
        found.push(Vkb { unique_id, backend_type, info });
    }
    Ok(found)
}

/// The trusted platform modules of a domain (`libxl_device_vtpm_list`).
pub fn vtpms(ctx: &Ctx, domid: DomId) -> Result<Vec<VtpmInfo>> {
    let mut found = Vec::new();
    for (devid, device) in of_kind(ctx, domid, DeviceKind::Vtpm)? {
        let [state, evtch, rref] = numbers(ctx, &device, ["state", "event-channel", "ring-ref"])?;
        let uuid = ctx.xs()?.read_optional(&format!("{}/uuid", device.libxl_path()))?;
        found.push(VtpmInfo {
            ends: device.ends(),
            devid: Some(devid),
            state,
            evtch,
            rref,
            uuid: uuid.and_then(|uuid| uuid.parse().ok()).unwrap_or_default(),
        });
    }
    Ok(found)
}

/// The channels of a domain, numbered from 0 (`libxl_device_channel_list`): the consoles that have a name.
pub fn channels(ctx: &Ctx, domid: DomId) -> Result<Vec<ChannelInfo>> {
    let mut found = Vec::new();
    for (_, device) in of_kind(ctx, domid, DeviceKind::Console)? {
        let [name, connection] = values(ctx, &device.libxl_path(), ["name", "connection"])?;
        if name.is_none() {
            continue;
        }
        let [state, evtch, rref] = numbers(ctx, &device, ["state", "port", "ring-ref"])?;
        let [tty] = values(ctx, &device.frontend_path(), ["tty"])?;
        // The guest may have written another file's name.
        let tty = tty.filter(|tty| tty.is_empty() || pty(tty.as_bytes()).is_some());
        let connection = match connection.as_deref() {
            Some("pty") => ChannelInfoEnd::Pty(ChannelPty { path: tty }),
            Some("socket") => ChannelInfoEnd::Socket,
            _ => ChannelInfoEnd::Unknown,
        };
        found.push(ChannelInfo {
            ends: device.ends(),
            devid: u32::try_from(found.len()).ok(),
            state,
            evtch,
            rref,
            connection,
        });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::super::nodes::tests::host;
    use super::super::super::{channel, vkb, vtpm, write_all};
    use super::*;
    use crate::types::{ChannelEnd, DeviceChannel, DeviceVkb, DeviceVtpm};

    #[test]
    fn what_was_written_is_listed() {
        let (fake, ctx) = host(&[1, 2]);
        let domid = DomId(1);
        let uuid = uuid::uuid!("2b383046-e58e-11f1-8b33-33310486262e");
        let keyboard = DeviceVkb {
            devid: Some(0),
            backend_domid: 2,
            backend_type: VkbBackend::Linux,
            unique_id: Some("keys".into()),
            ..Default::default()
        };
        let module = DeviceVtpm { devid: Some(0), backend_domid: 2, uuid, ..Default::default() };
        let agent =
            DeviceChannel { devid: Some(0), name: Some("a".into()), connection: ChannelEnd::Pty, ..Default::default() };
        let nodes = [vkb(domid, &keyboard).unwrap(), vtpm(domid, &module).unwrap(), channel(domid, &agent).unwrap()];
        write_all(&ctx, &nodes).unwrap();
        fake.set("/local/domain/1/device/vkbd/0/page-gref", b"8");
        fake.set("/local/domain/1/device/vkbd/0/event-channel", b"nonsense");

        let [keyboard] = &vkbs(&ctx, domid).unwrap()[..] else { panic!() };
        assert_eq!((keyboard.unique_id.as_deref(), keyboard.backend_type), (Some("keys"), VkbBackend::Linux));
        assert_eq!((keyboard.info.state, keyboard.info.rref, keyboard.info.evtch), (1, 8, -1));
        assert_eq!(keyboard.info.ends.backend.as_deref(), Some("/local/domain/2/backend/vinput/1/0"));
        assert_eq!(vtpms(&ctx, domid).unwrap()[0].uuid, uuid);
        let [channel] = &channels(&ctx, domid).unwrap()[..] else { panic!() };
        assert_eq!(
            (channel.devid, channel.ends.frontend.as_deref()),
            (Some(0), Some("/local/domain/1/device/console/1"))
        );
        assert_eq!(channel.connection, ChannelInfoEnd::Pty(ChannelPty { path: Some(String::new()) }));
        for (tty, shown) in [("/dev/pts/7", Some("/dev/pts/7")), ("/dev/mem", None), ("\x1b[2J", None)] {
            fake.set("/local/domain/1/device/console/1/tty", tty.as_bytes());
            let path = shown.map(str::to_owned);
            assert_eq!(channels(&ctx, domid).unwrap()[0].connection, ChannelInfoEnd::Pty(ChannelPty { path }));
        }
    }
}
