//! Host PCI devices, `[D:]B:D.F[@vslot],key=value...`, and reserved device memory (xl-pci-configuration(5)).

use super::diagnostic::{Diagnostics, FAILED};
use super::items;
use super::keys;
use super::number;
use super::source::Text;
use libxl::types::{DevicePci, RdmReserve, RdmReservePolicy, RdmReserveStrategy};

/// Stock xl's exit status for a PCI device that it cannot read (libxl's ERROR_INVAL).
const INVALID: i32 = 6;

/// All functions of a slot (`LIBXL_PCI_FUNC_ALL`).
const ALL_FUNCTIONS: u32 = !0;

/// Takes the specification into a device that has the options for all of them. Whether it was right.
pub(crate) fn parse(spec: Text<'_>, pci: &mut DevicePci, diagnostics: &mut Diagnostics) -> bool {
    match read(spec, pci, diagnostics) {
        Ok(()) => true,
        Err(e) => {
            let found = diagnostics.error(e.place.span, format!("{} in the PCI device `{}'", e.message, spec.text));
            found.status(e.status).help(e.help);
            if e.is_unknown_option {
                found.did_you_mean(e.place.text, keys::PCI.iter().map(|(name, _)| *name));
            }
            false
        }
    }
}

struct Wrong<'a> {
    place: Text<'a>,
    message: String,
    help: &'static str,
    status: i32,
    is_unknown_option: bool,
}

fn wrong<'a>(place: Text<'a>, message: impl Into<String>, help: &'static str) -> Wrong<'a> {
    Wrong { place, message: message.into(), help, status: INVALID, is_unknown_option: false }
}

const BDF_HELP: &str = "an address is [DDDD:]BB:DD.F in hex, F up to 7 or * for all functions, as 0000:01:00.0";

fn read<'a>(spec: Text<'a>, pci: &mut DevicePci, diagnostics: &mut Diagnostics) -> Result<(), Wrong<'a>> {
    let mut has_address = false;
    let mut rest = spec;
    if let Some(after) = bdf(spec, pci) {
        has_address = true;
        rest = match after.strip_prefix("@") {
            Some(slot) => virtual_slot(slot, pci).ok_or_else(|| wrong(slot, "no virtual slot", SLOT_HELP))?,
            None => after,
        };
        rest = match rest.strip_prefix(",") {
            Some(more) => more,
            None if rest.text.is_empty() => rest,
            None => return Err(wrong(rest, format!("unexpected `{}'", rest.text), BDF_HELP)),
        };
    }
    while !rest.text.is_empty() {
        let Some((key, after)) = rest.split_once('=') else {
            let help = if has_address { "options are key=value" } else { BDF_HELP };
            return Err(wrong(rest, format!("unexpected `{}'", rest.text), help));
        };
        let (value, next) = after.split_once(',').unwrap_or((after, after.from(after.text.len())));
        has_address |= option(key, value, pci, diagnostics)?;
        rest = next;
    }
    match (has_address, pci.name.is_some()) {
        (true, true) => Err(wrong(spec, "both an address and a name", "give one of bdf= and name=")),
        (false, false) => Err(wrong(spec, "neither an address nor a name", BDF_HELP)),
        _ => Ok(()),
    }
}

/// Takes one option into the device. Whether it was its address.
fn option<'a>(
    key: Text<'a>,
    value: Text<'a>,
    pci: &mut DevicePci,
    diagnostics: &mut Diagnostics,
) -> Result<bool, Wrong<'a>> {
    match key.text {
        "bdf" => {
            bdf(value, pci).ok_or_else(|| wrong(value, "no address", BDF_HELP))?;
            return Ok(true);
        }
        "vslot" => {
            virtual_slot(value, pci).ok_or_else(|| wrong(value, "no virtual slot", SLOT_HELP))?;
        }
        "permissive" => items::boolean_of(value, 10, &mut pci.permissive, diagnostics),
        "msitranslate" => items::boolean_of(value, 10, &mut pci.msitranslate, diagnostics),
        "seize" => items::boolean_of(value, 10, &mut pci.seize, diagnostics),
        "power_mgmt" => items::boolean_of(value, 10, &mut pci.power_mgmt, diagnostics),
        "rdm_policy" => {
            pci.rdm_policy = value.text.parse().map_err(|_| Wrong {
                status: FAILED,
                ..wrong(value, format!("unknown rdm_policy `{}'", value.text), "it is strict or relaxed")
            })?;
        }
        "name" => pci.name = Some(value.text.to_string()),
        unknown => {
            let wrong = wrong(key, format!("unknown option `{unknown}'"), "see xl-pci-configuration(5)");
            return Err(Wrong { is_unknown_option: true, ..wrong });
        }
    }
    Ok(false)
}

const SLOT_HELP: &str = "a virtual slot is a hexadecimal number up to 1f";

/// Reads `[D:]B:D.F` or `[D:]B:D.*` and gives what follows.
fn bdf<'a>(text: Text<'a>, pci: &mut DevicePci) -> Option<Text<'a>> {
    let digits_end = text.text.find(|c: char| !c.is_ascii_hexdigit() && c != ':')?;
    let numbers: Vec<&str> = text.text[..digits_end].split(':').collect();
    let (domain, bus, dev) = match numbers[..] {
        [bus, dev] => ("0", bus, dev),
        [domain, bus, dev] => (domain, bus, dev),
        _ => return None,
    };
    let domain = number::whole(domain, 16).filter(|n| *n <= 0xffff)?;
    let bus = number::whole(bus, 16).and_then(|n| u8::try_from(n).ok())?;
    let dev = number::whole(dev, 16).and_then(|n| u8::try_from(n).ok()).filter(|n| *n <= 0x1f)?;
    let function = text.from(digits_end).strip_prefix(".")?;
    let (func, mask, rest) = match function.strip_prefix("*") {
        Some(rest) => (0, ALL_FUNCTIONS, rest),
        None => {
            let number = number::leading(function.text, 16)?;
            let func = u8::try_from(number.value).ok().filter(|n| *n <= 7)?;
            (func, 1, function.from(function.text.len() - number.rest.len()))
        }
    };
    (pci.domain, pci.bus, pci.dev, pci.func, pci.vfunc_mask) = (domain as i32, bus, dev, func, mask);
    Some(rest)
}

/// Reads a slot of the guest's bus and gives what follows.
fn virtual_slot<'a>(text: Text<'a>, pci: &mut DevicePci) -> Option<Text<'a>> {
    let number = number::leading(text.text, 16)?;
    let slot = u32::try_from(number.value).ok().filter(|n| *n <= 0x1f)?;
    pci.vdevfn = slot << 3;
    Some(text.from(text.text.len() - number.rest.len()))
}

/// `strategy=host,policy=strict|relaxed`. None, with a word about it, if it cannot be read: as with stock xl, the
/// domain then goes without.
pub(crate) fn rdm(spec: Text<'_>, diagnostics: &mut Diagnostics) -> Option<RdmReserve> {
    let mut rdm = RdmReserve::default();
    for pair in spec.text.split(',') {
        match pair.split_once('=') {
            Some(("strategy", "host")) => rdm.strategy = RdmReserveStrategy::Host,
            Some(("policy", "strict")) => rdm.policy = RdmReservePolicy::Strict,
            Some(("policy", "relaxed")) => rdm.policy = RdmReservePolicy::Relaxed,
            _ => {
                diagnostics
                    .ignored(spec.span, format!("not a treatment of reserved device memory: `{pair}'"))
                    .help("it is strategy=host,policy=strict or strategy=host,policy=relaxed");
                return None;
            }
        }
    }
    Some(rdm)
}

#[cfg(test)]
mod tests {
    use super::super::source::Span;
    use super::*;

    fn pci(spec: &str) -> Result<DevicePci, i32> {
        let mut diagnostics = Diagnostics::new(false);
        let mut pci = DevicePci::default();
        let right = parse(Text::new(spec, Span::new(0, spec.len())), &mut pci, &mut diagnostics);
        if right { Ok(pci) } else { Err(diagnostics.exit_status()) }
    }

    #[test]
    fn addresses() {
        let device = pci("0000:01:1f.7@5").unwrap();
        assert_eq!((device.bus, device.dev, device.func, device.vdevfn, device.vfunc_mask), (1, 0x1f, 7, 0x28, 1));
        assert_eq!(pci("01:00.*").unwrap().vfunc_mask, ALL_FUNCTIONS);
        assert_eq!(pci("bdf=1:0.0,vslot=1f").unwrap().vdevfn, 0xf8);
        assert_eq!(pci("name=foo").unwrap().name.unwrap(), "foo");
        for bad in ["zz", "01:20.0", "01:00.8", "1ff:00.0", "10000:1:0.0", "01:00.0@20", "", "1:2:3:4.0", "01:00.0x"] {
            assert_eq!(pci(bad), Err(INVALID), "{bad}");
        }
        assert_eq!(pci("01:00.0,name=foo"), Err(INVALID));
    }

    #[test]
    fn options() {
        let device = pci("01:00.0,permissive=1,msitranslate=1,power_mgmt=1,seize=1,rdm_policy=relaxed").unwrap();
        assert!(device.permissive && device.msitranslate && device.power_mgmt && device.seize);
        assert_eq!(device.rdm_policy, RdmReservePolicy::Relaxed);
        assert_eq!(pci("01:00.0,foo=1"), Err(INVALID));
        assert_eq!(pci("01:00.0,foo"), Err(INVALID));
        assert_eq!(pci("01:00.0,rdm_policy=x"), Err(FAILED));
    }

    #[test]
    fn reserved_device_memory() {
        let mut diagnostics = Diagnostics::new(false);
        let mut read = |spec: &'static str| rdm(Text::new(spec, Default::default()), &mut diagnostics);
        assert_eq!(read("strategy=host,policy=relaxed").unwrap().policy, RdmReservePolicy::Relaxed);
        assert_eq!(read("policy=foo"), None);
        assert_eq!(read("strategy=ignore"), None);
    }
}
