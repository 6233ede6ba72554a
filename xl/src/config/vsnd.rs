//! Virtual sound cards: a list of cards, each a list of `"card, ..."`, `"pcm, ..."` and `"stream, ..."` (xl.cfg(5)).

use super::diagnostic::Diagnostics;
use super::items::{self, number_of};
use super::keys;
use super::source::Text;
use libxl::types::{DeviceVsnd, VsndParams, VsndPcm, VsndPcmFormat, VsndStream};

/// Takes one part into the card. Whether it was right.
pub(crate) fn part(spec: Text<'_>, card: &mut DeviceVsnd, diagnostics: &mut Diagnostics) -> bool {
    let mut tokens = items::tokens(spec);
    let Some(kind) = tokens.next() else { return true };
    match kind.text.to_ascii_lowercase().as_str() {
        "card" => {}
        "pcm" => card.pcms.push(VsndPcm::default()),
        "stream" => {
            if card.pcms.is_empty() {
                card.pcms.push(VsndPcm::default());
            }
            if let Some(pcm) = card.pcms.last_mut() {
                pcm.streams.push(VsndStream::default());
            }
        }
        unknown => {
            diagnostics
                .error(kind.span, format!("a virtual sound card has no part `{unknown}'"))
                .help("its parts are card, pcm and stream");
            return false;
        }
    }
    let kind = kind.text.to_ascii_lowercase();
    tokens.all(|token| parameter(&kind, token, card, diagnostics))
}

fn parameter(kind: &str, token: Text<'_>, card: &mut DeviceVsnd, diagnostics: &mut Diagnostics) -> bool {
    let Some((key, value)) = items::pair(token, "a virtual sound card", keys::VSND, diagnostics) else { return false };
    let text = Some(value.text.to_string());
    let pcm = card.pcms.last_mut();
    match (kind, key, pcm) {
        ("card", "backend", _) => card.backend_domname = text,
        ("card", "short-name", _) => card.short_name = text,
        ("card", "long-name", _) => card.long_name = text,
        ("card", _, _) => return shared(key, value, &mut card.params, token, diagnostics),
        ("pcm", "name", Some(pcm)) => pcm.name = text,
        ("pcm", _, Some(pcm)) => return shared(key, value, &mut pcm.params, token, diagnostics),
        (_, _, Some(VsndPcm { streams, .. })) => match (key, streams.last_mut()) {
            ("unique-id", Some(stream)) => stream.unique_id = text,
            ("type", Some(stream)) => match value.text.parse() {
                Ok(kind) => stream.type_ = Some(kind),
                Err(_) => {
                    diagnostics
                        .error(value.span, format!("unknown type of stream `{}'", value.text))
                        .help("a stream is p, to play, or c, to capture");
                    return false;
                }
            },
            (_, Some(stream)) => return shared(key, value, &mut stream.params, token, diagnostics),
            (_, None) => {}
        },
        (_, _, None) => {}
    }
    true
}

/// What a card, a PCM device and a stream all have.
fn shared(key: &str, value: Text<'_>, params: &mut VsndParams, token: Text<'_>, diagnostics: &mut Diagnostics) -> bool {
    match key {
        "sample-rates" => {
            let mut rates = Vec::new();
            for rate in value.tokens(&[';']) {
                let mut number = 0;
                if !number_of(rate, 0, &mut number, diagnostics) {
                    return false;
                }
                rates.push(number);
            }
            params.sample_rates = rates;
        }
        "sample-formats" => {
            let mut formats = Vec::new();
            for format in value.tokens(&[';']) {
                let mut parsed = VsndPcmFormat::S8;
                if !items::choice(format, "sample format", &mut parsed, diagnostics) {
                    return false;
                }
                formats.push(parsed);
            }
            params.sample_formats = formats;
        }
        "channels-min" => return number_of(value, 0, &mut params.channels_min, diagnostics),
        "channels-max" => return number_of(value, 0, &mut params.channels_max, diagnostics),
        "buffer-size" => return number_of(value, 0, &mut params.buffer_size, diagnostics),
        _ => {
            diagnostics.error(token.span, format!("`{key}' does not belong here"));
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use libxl::types::VsndStreamType;

    fn card(parts: &[&str]) -> Option<DeviceVsnd> {
        let mut card = DeviceVsnd::default();
        let mut diagnostics = Diagnostics::new(false);
        let right = parts.iter().all(|p| part(Text::new(p, Default::default()), &mut card, &mut diagnostics));
        assert_eq!(right, !diagnostics.has_errors());
        right.then_some(card)
    }

    #[test]
    fn parts_of_a_card() {
        let found = card(&[
            "CARD, short-name=s, sample-rates=8000;16000, sample-formats=s16_le;U8",
            "pcm, name=p, channels-max=2",
            "stream, unique-id=x, type=P",
        ])
        .unwrap();
        assert_eq!(found.params.sample_rates, [8000, 16000]);
        assert_eq!(found.params.sample_formats, [VsndPcmFormat::S16Le, VsndPcmFormat::U8]);
        assert_eq!(found.pcms[0].streams[0].type_, Some(VsndStreamType::P));
    }

    #[test]
    fn a_stream_makes_its_pcm() {
        assert_eq!(card(&["stream, unique-id=x", "stream, type=c"]).unwrap().pcms[0].streams.len(), 2);
    }

    #[test]
    fn refuses() {
        for bad in
            ["foo, a=b", "pcm, foo=1", "stream, type=z", "card, sample-formats=zz", "card, name=x", "pcm, type=p"]
        {
            assert_eq!(card(&[bad]), None, "{bad}");
        }
    }
}
