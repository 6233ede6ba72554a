//! Keyboards, trusted platform modules and channels as stock xl's tables, and as JSON.

use super::devices::known;
use libxl::device::Vkb;
use libxl::types::{ChannelInfo, ChannelInfoEnd, VtpmInfo};
use serde::Serialize;
use std::fmt::Write;

/// What stock xl prints for text that is not there.
pub(super) const NULL: &str = "(null)";

/// The head of the table of `xl vtpm-list`.
pub(crate) fn vtpms_head() -> String {
    format!(
        "{:<3} {:<2} {:<36} {:<6} {:<5} {:<6} {:<5} {:<10}\n",
        "Idx", "BE", "Uuid", "handle", "state", "evt-ch", "ring-ref", "BE-path"
    )
}

/// The rows of one domain.
pub(crate) fn vtpms(vtpms: &[VtpmInfo]) -> String {
    let mut text = String::new();
    for vtpm in vtpms {
        let (devid, backend) = (vtpm.devid.unwrap_or_default(), vtpm.ends.backend.as_deref().unwrap_or(NULL));
        let _ = writeln!(
            text,
            "{devid:<3} {:<2} {} {devid:>6} {:>5} {:>6} {:>8} {backend:<30}",
            vtpm.ends.backend_id, vtpm.uuid, vtpm.state, vtpm.evtch, vtpm.rref
        );
    }
    text
}

/// The head of the table of `xl vkb-list`.
pub(crate) fn vkbs_head() -> String {
    format!(
        "{:<3} {:<2} {:<6} {:<5} {:<6} {:>6} {:<10} {:<10} {:<30}\n",
        "Idx", "BE", "handle", "state", "evt-ch", "ref", "ID", "BE-type", "BE-path"
    )
}

/// The rows of one domain.
pub(crate) fn vkbs(vkbs: &[Vkb]) -> String {
    let mut text = String::new();
    for Vkb { unique_id, backend_type, info } in vkbs {
        let (devid, backend) = (info.devid.unwrap_or_default(), info.ends.backend.as_deref().unwrap_or(NULL));
        let _ = writeln!(
            text,
            "{devid:<3} {:<2} {devid:>6} {:>5} {:>6} {:>6} {:<10} {:<10} {backend:<30}",
            info.ends.backend_id,
            info.state,
            info.evtch,
            info.rref,
            unique_id.as_deref().unwrap_or(NULL),
            backend_type.name()
        );
    }
    text
}

/// The head of the table of `xl channel-list`.
pub(crate) fn channels_head() -> String {
    format!(
        "{:<3} {:<2} {:<5} {:<6} {:>8} {:<10} {:<30}\n",
        "Idx", "BE", "state", "evt-ch", "ring-ref", "connection", ""
    )
}

/// The rows of one domain.
pub(crate) fn channels(channels: &[ChannelInfo]) -> String {
    let mut text = String::new();
    for channel in channels {
        let devid = channel.devid.unwrap_or_default();
        let _ = write!(
            text,
            "{devid:<3} {:<2} {:<5} {:<6} {:<8} {:<10} ",
            channel.ends.backend_id,
            channel.state,
            channel.evtch,
            channel.rref,
            connection(channel)
        );
        if let ChannelInfoEnd::Pty(pty) = &channel.connection {
            let _ = write!(text, "{:<30} ", pty.path.as_deref().unwrap_or("/NO-SUCH-PATH"));
        }
        text.push('\n');
    }
    text
}

fn connection(channel: &ChannelInfo) -> &'static str {
    match channel.connection {
        ChannelInfoEnd::Pty(_) => "pty",
        ChannelInfoEnd::Socket => "socket",
        ChannelInfoEnd::Unknown => "unknown",
    }
}

/// What all these have in common, in JSON.
#[derive(Serialize)]
pub(crate) struct DeviceJson<T> {
    pub(super) domid: u32,
    pub(super) devid: u32,
    pub(super) backend_domid: u32,
    pub(super) backend: Option<String>,
    pub(super) frontend: Option<String>,
    pub(super) state: Option<i32>,
    #[serde(flatten)]
    pub(super) own: T,
}

/// Makes the JSON of a device of its state, which is a record of its own for each kind.
macro_rules! device_json {
    ($info:expr, $own:expr) => {
        DeviceJson {
            domid: $info.ends.frontend_id,
            devid: $info.devid.unwrap_or_default(),
            backend_domid: $info.ends.backend_id,
            backend: $info.ends.backend.clone(),
            frontend: $info.ends.frontend.clone(),
            state: crate::output::devices::known($info.state),
            own: $own,
        }
    };
}
pub(super) use device_json;

/// A trusted platform module in JSON.
#[derive(Serialize)]
pub(crate) struct VtpmJson {
    uuid: String,
    event_channel: Option<i32>,
    ring_ref: Option<i32>,
}

impl From<&VtpmInfo> for DeviceJson<VtpmJson> {
    fn from(vtpm: &VtpmInfo) -> Self {
        let (event_channel, ring_ref) = (known(vtpm.evtch), known(vtpm.rref));
        device_json!(vtpm, VtpmJson { uuid: vtpm.uuid.to_string(), event_channel, ring_ref })
    }
}

/// A keyboard in JSON.
#[derive(Serialize)]
pub(crate) struct VkbJson {
    unique_id: Option<String>,
    backend_type: &'static str,
    event_channel: Option<i32>,
    ring_ref: Option<i32>,
}

impl From<&Vkb> for DeviceJson<VkbJson> {
    fn from(Vkb { unique_id, backend_type, info }: &Vkb) -> Self {
        let (unique_id, backend_type) = (unique_id.clone(), backend_type.name());
        let (event_channel, ring_ref) = (known(info.evtch), known(info.rref));
        device_json!(info, VkbJson { unique_id, backend_type, event_channel, ring_ref })
    }
}

/// A channel in JSON.
#[derive(Serialize)]
pub(crate) struct ChannelJson {
    connection: &'static str,
    tty: Option<String>,
    event_channel: Option<i32>,
    ring_ref: Option<i32>,
}

impl From<&ChannelInfo> for DeviceJson<ChannelJson> {
    fn from(channel: &ChannelInfo) -> Self {
        let tty = match &channel.connection {
            ChannelInfoEnd::Pty(pty) => pty.path.clone().filter(|path| !path.is_empty()),
            _ => None,
        };
        let (event_channel, ring_ref) = (known(channel.evtch), known(channel.rref));
        device_json!(channel, ChannelJson { connection: connection(channel), tty, event_channel, ring_ref })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libxl::types::{ChannelPty, DeviceEnds, VkbBackend, VkbInfo};

    #[test]
    fn keyboards_are_stock_xls_table() {
        let info = VkbInfo {
            ends: DeviceEnds { backend: Some("/local/domain/0/backend/vkbd/1/0".into()), ..Default::default() },
            devid: Some(0),
            state: 4,
            evtch: 16,
            rref: 8,
        };
        let keyboard = Vkb { unique_id: None, backend_type: VkbBackend::Qemu, info };
        // Printed by stock xl 4.17.
        let expected = "\
Idx BE handle state evt-ch    ref ID         BE-type    BE-path                       
0   0       0     4     16      8 (null)     qemu       /local/domain/0/backend/vkbd/1/0
";
        assert_eq!(vkbs_head() + &vkbs(std::slice::from_ref(&keyboard)), expected);
        let json = serde_json::to_value(DeviceJson::from(&keyboard)).unwrap();
        assert_eq!((json["devid"].as_u64(), json["backend_type"].as_str()), (Some(0), Some("qemu")));
        assert!(json["unique_id"].is_null());
    }

    #[test]
    fn channels_end_where_they_end() {
        let channel = |connection| ChannelInfo {
            devid: Some(0),
            state: 1,
            evtch: -1,
            rref: -1,
            connection,
            ..Default::default()
        };
        let pty = ChannelInfoEnd::Pty(ChannelPty { path: Some("/dev/pts/1".into()) });
        let list = channels(&[channel(pty), channel(ChannelInfoEnd::Socket)]);
        let expected = "\
0   0  1     -1     -1       pty        /dev/pts/1                     
0   0  1     -1     -1       socket     
";
        assert_eq!(list, expected);
    }
}
