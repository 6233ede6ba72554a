//! The list of PV sound cards.

use super::{numbered, numbers, numbers_in, of_kind, values};
use crate::ctx::Ctx;
use crate::device::DeviceKind;
use crate::error::Result;
use crate::types::{DeviceVsnd, PcmInfo, StreamInfo, VsndInfo, VsndParams, VsndPcm, VsndStream};
use libxc::DomId;
use std::str::FromStr;

/// A sound card, with what it can do.
#[derive(Clone, Debug, PartialEq)]
pub struct Vsnd {
    /// What it is.
    pub card: DeviceVsnd,
    /// How it is doing.
    pub info: VsndInfo,
}

/// The sound cards of a domain (`libxl_device_vsnd_list`). They are described in the frontend only, where the guest
/// may change them.
pub fn vsnds(ctx: &Ctx, domid: DomId) -> Result<Vec<Vsnd>> {
    let mut found = Vec::new();
    for (devid, device) in of_kind(ctx, domid, DeviceKind::Vsnd)? {
        let frontend = device.frontend_path();
        let [state] = numbers(ctx, &device, ["state"])?;
        let [short_name, long_name] = values(ctx, &frontend, ["short-name", "long-name"])?;
        let mut pcms = Vec::new();
        let mut states = Vec::new();
        for directory in numbered(ctx, &frontend)? {
            let (pcm, info) = pcm(ctx, &directory)?;
            pcms.push(pcm);
            states.push(info);
        }
        let params = params(ctx, &frontend)?;
        let card = DeviceVsnd { devid: Some(devid), short_name, long_name, params, pcms, ..Default::default() };
        let info = VsndInfo { ends: device.ends(), devid: Some(devid), state, pcms: states };
        found.push(Vsnd { card, info });
    }
    Ok(found)
}

fn pcm(ctx: &Ctx, directory: &str) -> Result<(VsndPcm, PcmInfo)> {
    let [name] = values(ctx, directory, ["name"])?;
    let (mut streams, mut states) = (Vec::new(), Vec::new());
    for directory in numbered(ctx, directory)? {
        let [unique_id, kind] = values(ctx, &directory, ["unique-id", "type"])?;
        let type_ = kind.and_then(|kind| kind.parse().ok());
        streams.push(VsndStream { unique_id, type_, params: params(ctx, &directory)? });
        let [req_evtch, req_rref] = numbers_in(ctx, &directory, ["event-channel", "ring-ref"])?;
        states.push(StreamInfo { req_evtch, req_rref });
    }
    Ok((VsndPcm { name, params: params(ctx, directory)?, streams }, PcmInfo { streams: states }))
}

fn params(ctx: &Ctx, directory: &str) -> Result<VsndParams> {
    let nodes = ["sample-rates", "sample-formats", "channels-min", "channels-max", "buffer-size"];
    let [rates, formats, channels_min, channels_max, buffer_size] = values(ctx, directory, nodes)?;
    let number = |value: Option<String>| value.and_then(|value| value.parse().ok()).unwrap_or_default();
    Ok(VsndParams {
        sample_rates: list(rates),
        sample_formats: list(formats),
        channels_min: number(channels_min),
        channels_max: number(channels_max),
        buffer_size: number(buffer_size),
    })
}

/// Items between commas; what is no such item is left out.
fn list<T: FromStr>(text: Option<String>) -> Vec<T> {
    text.iter().flat_map(|text| text.split(',')).filter_map(|item| item.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::nodes::tests::host;
    use super::super::super::{vsnd, write_all};
    use super::*;
    use crate::types::{VsndPcmFormat, VsndStreamType};

    #[test]
    fn what_was_written_is_listed() {
        let (_fake, ctx) = host(&[1, 2]);
        let params = |rates: &[u32]| VsndParams { sample_rates: rates.to_vec(), channels_max: 2, ..Default::default() };
        let stream = VsndStream {
            unique_id: Some("out".into()),
            type_: Some(VsndStreamType::P),
            params: VsndParams { sample_formats: vec![VsndPcmFormat::S16Le], ..Default::default() },
        };
        let pcm = VsndPcm { name: Some("main".into()), params: params(&[]), streams: vec![stream] };
        let card = DeviceVsnd {
            devid: Some(0),
            short_name: Some("card".into()),
            long_name: Some("A sound card".into()),
            params: params(&[44100, 48000]),
            pcms: vec![pcm],
            ..Default::default()
        };
        write_all(&ctx, &[vsnd(DomId(1), &DeviceVsnd { backend_domid: 2, ..card.clone() }).unwrap()]).unwrap();
        let [listed] = &vsnds(&ctx, DomId(1)).unwrap()[..] else { panic!() };
        assert_eq!(listed.card, card);
        assert_eq!((listed.info.state, listed.info.ends.backend_id), (1, 2));
        assert_eq!(listed.info.pcms[0].streams[0], StreamInfo { req_evtch: -1, req_rref: -1 });
    }
}
