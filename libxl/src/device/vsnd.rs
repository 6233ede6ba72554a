//! PV sound cards: vsnd (`xen/include/public/io/sndif.h`): a card has devices, a device has streams.

use super::{Device, DeviceKind, Nodes};
use crate::error::Result;
use crate::types::{DeviceVsnd, VsndParams};
use libxc::DomId;
use std::fmt::Display;

/// The nodes of a sound card.
pub fn vsnd(domid: DomId, vsnd: &DeviceVsnd) -> Result<Nodes> {
    let mut nodes = Nodes::new(Device::alike(domid, DeviceKind::Vsnd, vsnd.devid, vsnd.backend_domid)?);
    nodes.front_some("long-name", vsnd.long_name.as_deref());
    nodes.front_some("short-name", vsnd.short_name.as_deref());
    params(&mut nodes, "", &vsnd.params);
    for (p, pcm) in vsnd.pcms.iter().enumerate() {
        nodes.front_some(&format!("{p}/name"), pcm.name.as_deref());
        params(&mut nodes, &format!("{p}/"), &pcm.params);
        for (s, stream) in pcm.streams.iter().enumerate() {
            nodes.front_some(&format!("{p}/{s}/unique-id"), stream.unique_id.as_deref());
            nodes.front_some(&format!("{p}/{s}/type"), stream.type_.map(|t| t.name()));
            params(&mut nodes, &format!("{p}/{s}/"), &stream.params);
        }
    }
    Ok(nodes)
}

/// What a card, a device or a stream can do; what is not said is taken from the one above.
fn params(nodes: &mut Nodes, path: &str, params: &VsndParams) {
    nodes.front_some(&format!("{path}sample-rates"), list(params.sample_rates.iter()));
    nodes.front_some(&format!("{path}sample-formats"), list(params.sample_formats.iter().map(|f| f.name())));
    for (name, value) in [
        ("channels-min", params.channels_min),
        ("channels-max", params.channels_max),
        ("buffer-size", params.buffer_size),
    ] {
        nodes.front_some(&format!("{path}{name}"), (value != 0).then_some(value));
    }
}

fn list(items: impl Iterator<Item = impl Display>) -> Option<String> {
    let items: Vec<String> = items.map(|item| item.to_string()).collect();
    (!items.is_empty()).then(|| items.join(","))
}

#[cfg(test)]
mod tests {
    use super::super::nodes::tests::{assert_written, host};
    use super::super::write_all;
    use super::*;
    use crate::types::{VsndPcm, VsndPcmFormat, VsndStream, VsndStreamType};

    #[test]
    fn card_device_and_stream() {
        let mut card = DeviceVsnd { devid: Some(0), short_name: Some("card".into()), ..Default::default() };
        card.params.sample_rates = vec![44100, 48000];
        card.params.sample_formats = vec![VsndPcmFormat::S16Le, VsndPcmFormat::U8];
        let stream = VsndStream { unique_id: Some("out".into()), type_: Some(VsndStreamType::P), ..Default::default() };
        let mut pcm = VsndPcm { name: Some("main".into()), streams: vec![stream], ..Default::default() };
        pcm.params.channels_max = 2;
        card.pcms = vec![pcm];
        let (fake, ctx) = host(&[1]);
        write_all(&ctx, &[vsnd(DomId(1), &card).unwrap()]).unwrap();
        assert_written(
            &fake,
            &["/local/domain/1/device/vsnd/0"],
            r#"
/local/domain/1/device/vsnd/0 = ""   (n1,r0)
/local/domain/1/device/vsnd/0/backend = "/local/domain/0/backend/vsnd/1/0"   (n1,r0)
/local/domain/1/device/vsnd/0/backend-id = "0"   (n1,r0)
/local/domain/1/device/vsnd/0/state = "1"   (n1,r0)
/local/domain/1/device/vsnd/0/short-name = "card"   (n1,r0)
/local/domain/1/device/vsnd/0/sample-rates = "44100,48000"   (n1,r0)
/local/domain/1/device/vsnd/0/sample-formats = "s16_le,u8"   (n1,r0)
/local/domain/1/device/vsnd/0/0 = ""   (n1,r0)
/local/domain/1/device/vsnd/0/0/name = "main"   (n1,r0)
/local/domain/1/device/vsnd/0/0/channels-max = "2"   (n1,r0)
/local/domain/1/device/vsnd/0/0/0 = ""   (n1,r0)
/local/domain/1/device/vsnd/0/0/0/unique-id = "out"   (n1,r0)
/local/domain/1/device/vsnd/0/0/0/type = "p"   (n1,r0)
"#,
        );
    }
}
