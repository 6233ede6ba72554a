//! Displays and sound cards as stock xl prints them, and as JSON.

use super::devices::known;
use super::small_devices::{DeviceJson, NULL, device_json};
use crate::config::diagnostic::printable;
use libxl::device::Vsnd;
use libxl::types::{VdisplInfo, VsndParams, json};
use serde::Serialize;
use std::fmt::{Display, Write};

/// What the guest may have written.
fn text(written: Option<&str>) -> String {
    written.unwrap_or(NULL).chars().map(printable).collect()
}

/// The displays of one domain.
pub(crate) fn vdispls(vdispls: &[VdisplInfo]) -> String {
    let mut table = String::new();
    for vdispl in vdispls {
        let _ = writeln!(
            table,
            "DevId: {}, BE: {}, handle: {}, state: {}, be-alloc: {}, BE-path: {}, FE-path: {}",
            vdispl.devid.unwrap_or_default(),
            vdispl.ends.backend_id,
            vdispl.ends.frontend_id,
            vdispl.state,
            u8::from(vdispl.be_alloc),
            vdispl.ends.backend.as_deref().unwrap_or(NULL),
            vdispl.ends.frontend.as_deref().unwrap_or(NULL)
        );
        for (i, connector) in vdispl.connectors.iter().enumerate() {
            let _ = writeln!(
                table,
                "\tConnector: {i}, id: {}, width: {}, height: {}, req-rref: {}, req-evtch: {}, evt-rref: {}, \
                 evt-evtch: {}",
                text(connector.unique_id.as_deref()),
                connector.width,
                connector.height,
                connector.req_rref,
                connector.req_evtch,
                connector.evt_rref,
                connector.evt_evtch
            );
        }
    }
    table
}

/// The sound cards of one domain.
pub(crate) fn vsnds(vsnds: &[Vsnd]) -> String {
    let mut table = String::new();
    for Vsnd { card, info } in vsnds {
        let _ = writeln!(
            table,
            "\ndevid: {}, be-domid: {}, handle: {}, state: {}, be-path: {}, fe-path: {}",
            info.devid.unwrap_or_default(),
            info.ends.backend_id,
            info.ends.frontend_id,
            info.state,
            info.ends.backend.as_deref().unwrap_or(NULL),
            info.ends.frontend.as_deref().unwrap_or(NULL)
        );
        let [short, long] = [&card.short_name, &card.long_name].map(|name| text(name.as_deref()));
        let _ = writeln!(table, "short-name: \"{short}\", long-name: \"{long}\"{}", params(&card.params));
        for (i, (pcm, state)) in card.pcms.iter().zip(&info.pcms).enumerate() {
            let name = text(pcm.name.as_deref());
            let _ = writeln!(table, "\tpcm: {i}, name: \"{name}\"{}", params(&pcm.params));
            for (k, (stream, state)) in pcm.streams.iter().zip(&state.streams).enumerate() {
                let _ = writeln!(
                    table,
                    "\t\tstream: {k}, unique-id: \"{}\", type: {}{}\n\t\t\tevent-channel: {}, ring-ref: {}",
                    text(stream.unique_id.as_deref()),
                    stream.type_.map_or(NULL, |kind| kind.name()),
                    params(&stream.params),
                    state.req_evtch,
                    state.req_rref
                );
            }
        }
    }
    table
}

/// What is said of them; stock xl gives the formats the rates' name.
fn params(params: &VsndParams) -> String {
    let mut text = String::new();
    for (name, value) in [
        ("channels-min", params.channels_min),
        ("channels-max", params.channels_max),
        ("buffer-size", params.buffer_size),
    ] {
        if value != 0 {
            let _ = write!(text, ", {name}: {value}");
        }
    }
    text += &list(params.sample_rates.iter());
    text + &list(params.sample_formats.iter().map(|format| format.name()))
}

fn list(items: impl Iterator<Item = impl Display>) -> String {
    let items: Vec<String> = items.map(|item| item.to_string()).collect();
    if items.is_empty() { String::new() } else { format!(", sample-rates: {}", items.join(";")) }
}

/// A display in JSON.
#[derive(Serialize)]
pub(crate) struct VdisplJson {
    be_alloc: bool,
    connectors: Vec<ConnectorJson>,
}

#[derive(Serialize)]
struct ConnectorJson {
    unique_id: Option<String>,
    width: u32,
    height: u32,
    request_event_channel: Option<i32>,
    request_ring_ref: Option<i32>,
    event_event_channel: Option<i32>,
    event_ring_ref: Option<i32>,
}

impl From<&VdisplInfo> for DeviceJson<VdisplJson> {
    fn from(vdispl: &VdisplInfo) -> Self {
        let connectors = vdispl.connectors.iter().map(|connector| ConnectorJson {
            unique_id: connector.unique_id.clone(),
            width: connector.width,
            height: connector.height,
            request_event_channel: known(connector.req_evtch),
            request_ring_ref: known(connector.req_rref),
            event_event_channel: known(connector.evt_evtch),
            event_ring_ref: known(connector.evt_rref),
        });
        device_json!(vdispl, VdisplJson { be_alloc: vdispl.be_alloc, connectors: connectors.collect() })
    }
}

/// A sound card in JSON.
#[derive(Serialize)]
pub(crate) struct VsndJson {
    /// As in a stored configuration.
    card: serde_json::Value,
    streams: Vec<StreamJson>,
}

#[derive(Serialize)]
struct StreamJson {
    pcm: usize,
    stream: usize,
    event_channel: Option<i32>,
    ring_ref: Option<i32>,
}

impl From<&Vsnd> for DeviceJson<VsndJson> {
    fn from(Vsnd { card, info }: &Vsnd) -> Self {
        let card = serde_json::from_str(&json::to_string(card)).unwrap_or_default();
        let mut streams = Vec::new();
        for (pcm, state) in info.pcms.iter().enumerate() {
            streams.extend(state.streams.iter().enumerate().map(|(stream, state)| StreamJson {
                pcm,
                stream,
                event_channel: known(state.req_evtch),
                ring_ref: known(state.req_rref),
            }));
        }
        device_json!(info, VsndJson { card, streams })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libxl::types::{
        ConnectorInfo, DeviceEnds, DeviceVsnd, PcmInfo, StreamInfo, VsndInfo, VsndPcm, VsndPcmFormat, VsndStream,
        VsndStreamType,
    };

    #[test]
    fn displays_in_words() {
        let connector = ConnectorInfo {
            unique_id: Some("left".into()),
            width: 640,
            height: 480,
            req_rref: -1,
            ..Default::default()
        };
        let display = VdisplInfo {
            ends: DeviceEnds {
                backend: Some("/b".into()),
                frontend: Some("/f".into()),
                frontend_id: 3,
                ..Default::default()
            },
            state: 1,
            be_alloc: true,
            connectors: vec![connector],
            ..Default::default()
        };
        let expected = "DevId: 0, BE: 0, handle: 3, state: 1, be-alloc: 1, BE-path: /b, FE-path: /f\n\
                        \tConnector: 0, id: left, width: 640, height: 480, req-rref: -1, req-evtch: 0, evt-rref: 0, \
                        evt-evtch: 0\n";
        assert_eq!(vdispls(std::slice::from_ref(&display)), expected);
        let json = serde_json::to_value(DeviceJson::from(&display)).unwrap();
        assert!(json["connectors"][0]["request_ring_ref"].is_null());
        assert_eq!(json["domid"], 3);
    }

    #[test]
    fn sound_cards_in_words() {
        let params = VsndParams {
            sample_rates: vec![44100, 48000],
            sample_formats: vec![VsndPcmFormat::S16Le],
            channels_max: 2,
            ..Default::default()
        };
        let stream = VsndStream { unique_id: Some("out".into()), type_: Some(VsndStreamType::P), ..Default::default() };
        let pcm = VsndPcm { name: Some("main".into()), streams: vec![stream], ..Default::default() };
        let card = DeviceVsnd { short_name: Some("card".into()), params, pcms: vec![pcm], ..Default::default() };
        let states = PcmInfo { streams: vec![StreamInfo { req_evtch: -1, req_rref: 7 }] };
        let ends = DeviceEnds { frontend_id: 3, ..Default::default() };
        let info = VsndInfo { ends, state: 1, pcms: vec![states], ..Default::default() };
        let expected = "\n\
            devid: 0, be-domid: 0, handle: 3, state: 1, be-path: (null), fe-path: (null)\n\
            short-name: \"card\", long-name: \"(null)\", channels-max: 2, sample-rates: 44100;48000, sample-rates: s16_le\n\
            \tpcm: 0, name: \"main\"\n\
            \t\tstream: 0, unique-id: \"out\", type: p\n\
            \t\t\tevent-channel: -1, ring-ref: 7\n";
        assert_eq!(vsnds(&[Vsnd { card, info }]), expected);
    }

    #[test]
    fn what_a_guest_wrote_does_not_reach_the_terminal_raw() {
        let id = || Some("\x1b]2;root\x07\n".to_owned());
        let connectors = vec![ConnectorInfo { unique_id: id(), ..Default::default() }];
        let displays = vdispls(&[VdisplInfo { connectors, ..Default::default() }]);
        let stream = VsndStream { unique_id: id(), ..Default::default() };
        let pcm = VsndPcm { name: id(), streams: vec![stream], ..Default::default() };
        let card = DeviceVsnd { short_name: id(), long_name: id(), pcms: vec![pcm], ..Default::default() };
        let state = StreamInfo { req_evtch: -1, req_rref: -1 };
        let info = VsndInfo { pcms: vec![PcmInfo { streams: vec![state] }], ..Default::default() };
        let table = displays + &vsnds(&[Vsnd { card, info }]);
        assert!(!table.contains(|c: char| c.is_control() && c != '\n' && c != '\t'), "{table:?}");
        assert_eq!(table.matches("\u{fffd}]2;root\u{fffd}\u{fffd}").count(), 5);
    }
}
