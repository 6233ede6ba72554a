//! Network devices: `mac=...,bridge=...` (xl-network-configuration(5)).

use super::diagnostic::Diagnostics;
use super::items;
use super::keys;
use super::number;
use super::source::Text;
use libxl::types::{DeviceNic, NicColo, NicType};

/// Takes one `key=value` or flag into the device. Whether it was right: in a file a wrong one is told of and left
/// out, on a command line it ends the command.
pub(crate) fn parameter(token: Text<'_>, nic: &mut DeviceNic, diagnostics: &mut Diagnostics) -> bool {
    let Some((key, value)) = token.split_once('=') else {
        match token.text {
            "trusted" => nic.trusted = true.into(),
            "untrusted" => nic.trusted = false.into(),
            _ => return unrecognized(token, diagnostics),
        }
        return true;
    };
    match key.text {
        "type" => return set_type(value, nic, diagnostics),
        "mac" => return set_mac(value, nic, diagnostics),
        "bridge" => nic.bridge = Some(value.text.to_string()),
        "gatewaydev" => nic.gatewaydev = Some(value.text.to_string()),
        "netdev" => {
            diagnostics.warning(key.span, "`netdev' is deprecated").help("use `gatewaydev'");
            nic.gatewaydev = Some(value.text.to_string());
        }
        "ip" => nic.ip = Some(value.text.to_string()),
        "script" => nic.script = Some(value.text.to_string()),
        "backend" => nic.backend_domname = Some(value.text.to_string()),
        "vifname" => nic.ifname = Some(value.text.to_string()),
        "model" => nic.model = Some(value.text.to_string()),
        "rate" => return rate(value, nic, diagnostics),
        "accel" => {
            diagnostics.without_effect(key.span, "`accel' has no effect");
        }
        "vlan" => {
            nic.vlan = Some(value.text.to_string());
            diagnostics.ignored(key.span, format!("`vlan' {}", keys::NEEDS_LATER));
            return false;
        }
        // libxl keeps it with a sign.
        "devid" => match items::decimal::<i32>(value, diagnostics) {
            Some(devid) => nic.devid = u32::try_from(devid).ok(),
            None => return false,
        },
        "mtu" => match items::decimal(value, diagnostics) {
            Some(mtu) => nic.mtu = mtu,
            None => return false,
        },
        name => {
            let is_first = nic.colo == NicColo::default();
            let Some(field) = colo_field(&mut nic.colo, name) else { return unrecognized(token, diagnostics) };
            *field = Some(value.text.to_string());
            // One of them mostly has dozens of others behind it.
            if is_first {
                diagnostics.without_effect(key.span, keys::COLO);
            }
        }
    }
    true
}

fn unrecognized(token: Text<'_>, diagnostics: &mut Diagnostics) -> bool {
    let (key, has_value) = token.text.split_once('=').map_or((token.text, false), |(key, _)| (key, true));
    let names = || keys::VIF.iter().map(|(name, _)| *name);
    let found = diagnostics.ignored(token.span, format!("a vif has no parameter `{key}'"));
    match names().find(|name| !has_value && key.starts_with(name)) {
        Some(name) => found.help(format!("write {name}=...")),
        None => found.did_you_mean(key, names()),
    };
    false
}

fn set_type(value: Text<'_>, nic: &mut DeviceNic, diagnostics: &mut Diagnostics) -> bool {
    nic.nictype = match value.text {
        "vif" => NicType::Vif,
        "ioemu" => NicType::VifIoemu,
        unknown => {
            let found = diagnostics.ignored(value.span, format!("unknown type of vif `{unknown}'"));
            found.help("a vif's type is vif or ioemu");
            return false;
        }
    };
    true
}

fn set_mac(value: Text<'_>, nic: &mut DeviceNic, diagnostics: &mut Diagnostics) -> bool {
    let Some((bytes, rest)) = mac(value.text) else {
        diagnostics
            .ignored(value.span, format!("not a MAC address: `{}'", value.text))
            .help("a MAC address is six hexadecimal bytes, as 00:16:3e:01:02:03");
        return false;
    };
    nic.mac.0 = bytes;
    if !rest.is_empty() {
        let rest = value.from(value.text.len() - rest.len());
        let found = diagnostics.ignored(rest.span, format!("`{}' behind the MAC address", rest.text));
        found.help("between parameters is a comma");
    }
    true
}

/// Six hexadecimal bytes with any one character between them, and what follows them.
fn mac(text: &str) -> Option<([u8; 6], &str)> {
    let mut bytes = [0; 6];
    let (mut next, mut rest) = (text, text);
    for byte in &mut bytes {
        let number = number::leading(next, 16)?;
        *byte = u8::try_from(number.value).ok()?;
        rest = number.rest;
        let mut after = rest.chars();
        after.next();
        next = after.as_str();
    }
    Some((bytes, rest))
}

/// `N[GMK](B|b)/s[@N[mu]s]`: a rate in bytes or bits for each second, and the interval in which it is granted.
fn rate(value: Text<'_>, nic: &mut DeviceNic, diagnostics: &mut Diagnostics) -> bool {
    let (speed, interval) = match value.split_once('@') {
        Some((speed, interval)) => (speed, Some(interval)),
        None => (value, None),
    };
    let Some(bytes_per_second) = bytes_per_second(speed.text) else {
        diagnostics
            .error(speed.span, format!("not a rate: `{}'", speed.text))
            .help("a rate is a number, up to 4294967295, with G, M or K, then B/s for bytes or b/s for bits: 10Mb/s");
        return false;
    };
    let usecs = match interval {
        None => Some(50_000),
        Some(interval) => microseconds(interval.text),
    };
    let Some(usecs) = usecs else {
        let place = interval.unwrap_or(value);
        diagnostics
            .error(place.span, format!("not an interval: `{}'", place.text))
            .help("an interval is a number of seconds, or with ms or us, up to 4294967295 us: 20ms");
        return false;
    };
    let Some(total) = bytes_per_second.checked_mul(u64::from(usecs)) else {
        diagnostics.error(value.span, "this rate is too high");
        return false;
    };
    nic.rate_interval_usecs = usecs;
    nic.rate_bytes_per_interval = total / 1_000_000;
    true
}

fn bytes_per_second(text: &str) -> Option<u64> {
    let (number, unit) = split_number(text)?;
    let (multiple, unit) = match unit.as_bytes().first()? {
        b'G' => (1_000_000_000, &unit[1..]),
        b'M' => (1_000_000, &unit[1..]),
        b'K' => (1_000, &unit[1..]),
        _ => (1, unit),
    };
    match unit {
        "B/s" => Some(number * multiple),
        "b/s" => Some(number * multiple / 8),
        _ => None,
    }
}

fn microseconds(text: &str) -> Option<u32> {
    let (number, unit) = split_number(text)?;
    let multiple = match unit {
        "s" | "" => 1_000_000,
        "ms" | "m" => 1_000,
        "us" | "u" => 1,
        _ => return None,
    };
    u32::try_from(number.checked_mul(multiple)?).ok()
}

/// Digits, read as C does (a leading 0 is octal), and what follows them. Not 0, and at most 32 bits.
fn split_number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number = number::whole(&text[..end], 0).and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0)?;
    Some((u64::from(number), &text[end..]))
}

/// The field of a COLO parameter.
fn colo_field<'n>(colo: &'n mut NicColo, name: &str) -> Option<&'n mut Option<String>> {
    macro_rules! by_name {
        ($($field:ident)*) => {
            match name {
                "forwarddev" => Some(&mut colo.coloft_forwarddev),
                $(stringify!($field) => Some(&mut colo.$field),)*
                _ => None,
            }
        };
    }
    by_name!(
        colo_sock_mirror_id colo_sock_mirror_ip colo_sock_mirror_port
        colo_sock_compare_pri_in_id colo_sock_compare_pri_in_ip colo_sock_compare_pri_in_port
        colo_sock_compare_sec_in_id colo_sock_compare_sec_in_ip colo_sock_compare_sec_in_port
        colo_sock_compare_notify_id colo_sock_compare_notify_ip colo_sock_compare_notify_port
        colo_sock_redirector0_id colo_sock_redirector0_ip colo_sock_redirector0_port
        colo_sock_redirector1_id colo_sock_redirector1_ip colo_sock_redirector1_port
        colo_sock_redirector2_id colo_sock_redirector2_ip colo_sock_redirector2_port
        colo_filter_mirror_queue colo_filter_mirror_outdev
        colo_filter_redirector0_queue colo_filter_redirector0_indev colo_filter_redirector0_outdev
        colo_filter_redirector1_queue colo_filter_redirector1_indev colo_filter_redirector1_outdev
        colo_compare_pri_in colo_compare_sec_in colo_compare_out colo_compare_notify_dev
        colo_sock_sec_redirector0_id colo_sock_sec_redirector0_ip colo_sock_sec_redirector0_port
        colo_sock_sec_redirector1_id colo_sock_sec_redirector1_ip colo_sock_sec_redirector1_port
        colo_filter_sec_redirector0_queue colo_filter_sec_redirector0_indev colo_filter_sec_redirector0_outdev
        colo_filter_sec_redirector1_queue colo_filter_sec_redirector1_indev colo_filter_sec_redirector1_outdev
        colo_filter_sec_rewriter0_queue colo_checkpoint_host colo_checkpoint_port
    )
}

#[cfg(test)]
mod tests {
    use super::super::source::Span;
    use super::*;

    fn nic(token: &str) -> Option<DeviceNic> {
        let mut diagnostics = Diagnostics::new(false);
        let mut nic = DeviceNic::default();
        let right = parameter(Text::new(token, Span::new(0, token.len())), &mut nic, &mut diagnostics);
        right.then_some(nic)
    }

    fn rates(token: &str) -> Option<(u64, u32)> {
        nic(&format!("rate={token}")).map(|n| (n.rate_bytes_per_interval, n.rate_interval_usecs))
    }

    #[test]
    fn mac_with_any_separator() {
        assert_eq!(nic("mac=00-16-3e-ff-0-1").unwrap().mac.0, [0, 0x16, 0x3e, 0xff, 0, 1]);
        for bad in ["mac=00:16:3e", "mac=100:0:0:0:0:0", "mac=", "mac=zz:0:0:0:0:0"] {
            assert_eq!(nic(bad), None, "{bad}");
        }
    }

    #[test]
    fn rate_forms() {
        assert_eq!(rates("1GB/s"), Some((50_000_000, 50_000)));
        assert_eq!(rates("10Mb/s@20ms"), Some((25_000, 20_000)));
        assert_eq!(rates("1MB/s@2"), Some((2_000_000, 2_000_000)));
        assert_eq!(rates("010KB/s"), Some((400, 50_000)));
        for bad in ["", "1MB", "0MB/s", "5000000000B/s", "1MB/s@", "1MB/s@5000s", "1XB/s", "-1B/s"] {
            assert_eq!(rates(bad), None, "{bad}");
        }
    }

    #[test]
    fn colo_and_unknown() {
        assert_eq!(nic("colo_sock_compare_sec_in_id=x").unwrap().colo.colo_sock_compare_sec_in_id.unwrap(), "x");
        assert_eq!(nic("forwarddev=e").unwrap().colo.coloft_forwarddev.unwrap(), "e");
        let (mut told, mut nic_of_both) = (Diagnostics::new(false), DeviceNic::default());
        for token in ["forwarddev=e", "colo_checkpoint_port=1"] {
            parameter(Text::new(token, Span::default()), &mut nic_of_both, &mut told);
        }
        assert_eq!(told.iter().map(|d| &d.message[..]).collect::<Vec<_>>(), ["COLO is not built yet: ignored"]);
        assert_eq!(nic("bridg=x"), None);
        assert_eq!(nic("bar"), None);
        assert!(nic("untrusted").unwrap().trusted.get() == Some(false));
    }
}
