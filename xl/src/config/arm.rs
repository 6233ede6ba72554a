//! Keys for Arm hosts: xl.cfg(5), "Architecture Specific options", and those that later versions of Xen have.
//!
//! On x86 they are read and shown all the same, as stock xl does, but no guest that asks for one is created.

use super::cpurange;
use super::diagnostic::{Diagnostics, FAILED};
use super::items;
use super::keys;
use super::reader::Reader;
use super::source::Text;
use libxl::types::{
    ArmSci, DeviceVirtio, DomainBuildInfo, DomainConfig, GicVersion, SveType, TeeType, UnknownName, VuartType,
};
use std::str::FromStr;

/// Whether guests of this host are x86 ones.
pub(crate) const IS_X86: bool = cfg!(target_arch = "x86_64");

/// Xen has no more colours of the last-level cache (its `CONFIG_LLC_COLORS_ORDER` is at most 10).
const MAX_COLORS: usize = 1 << 10;

/// Reads `vuart`.
pub(crate) fn vuart(reader: &mut Reader<'_>, build: &mut DomainBuildInfo) {
    if let Some(vuart) = reader.text("vuart") {
        items::choice(vuart, "vuart", &mut build.arch_arm.vuart, reader.diagnostics);
    }
}

/// Reads the other keys, but for devices.
pub(crate) fn platform(reader: &mut Reader<'_>, build: &mut DomainBuildInfo) {
    choice(reader, "gic_version", &mut build.arch_arm.gic_version, FAILED);
    choice(reader, "tee", &mut build.tee, FAILED);
    choice(reader, "sve", &mut build.arch_arm.sve_vl, 1);
    // All bits set is libxl's word for "not set".
    build.arch_arm.nr_spis = reader.checked("nr_spis").filter(|n| *n != u32::MAX);
    reader.set_switch("trap_unmapped_accesses", &mut build.trap_unmapped_accesses);
    build.arch_arm.arm_sci = reader.text("arm_sci").and_then(|spec| arm_sci(spec, reader.diagnostics));
    llc_colors(reader, &mut build.llc_colors);
}

fn choice<T: FromStr<Err = UnknownName>>(reader: &mut Reader<'_>, key: &str, field: &mut T, status: i32) {
    let Some(text) = reader.text(key) else { return };
    match text.text.parse() {
        Ok(value) => *field = value,
        Err(unknown) => {
            items::unknown_choice(text, key, &unknown, reader.diagnostics).status(status);
        }
    }
}

/// `type=scmi_smc`
fn arm_sci(spec: Text<'_>, diagnostics: &mut Diagnostics) -> Option<ArmSci> {
    let mut interface = ArmSci::default();
    for token in items::tokens(spec) {
        match token.strip_prefix("type=") {
            Some(kind) => {
                items::choice(kind, "type of arm_sci", &mut interface.type_, diagnostics).then_some(())?;
            }
            None => {
                diagnostics.ignored(token.span, format!("arm_sci has no parameter `{}'", token.text));
            }
        }
    }
    Some(interface)
}

/// `llc_colors`: a list of numbers and ranges.
fn llc_colors(reader: &mut Reader<'_>, colors: &mut Vec<u32>) {
    if !reader.has("llc_colors") {
        return;
    }
    for text in reader.texts("llc_colors").unwrap_or_default() {
        match cpurange::first_to_last(text.text) {
            Some((first, last)) if last < MAX_COLORS as u32 => colors.extend(first..=last),
            _ => {
                let error = reader.diagnostics.error(text.span, format!("not a range of colours: `{}'", text.text));
                error.help(format!("a range is N or N-M, of numbers below {MAX_COLORS}"));
            }
        }
        if colors.len() > MAX_COLORS {
            reader.diagnostics.error(reader.span("llc_colors"), "more colours than there are");
            return;
        }
    }
}

/// A virtio device. The only comma that a value can have is the one in `type=virtio,deviceN`.
pub(crate) fn virtio(spec: Text<'_>, diagnostics: &mut Diagnostics) -> Option<DeviceVirtio> {
    let mut device = DeviceVirtio::default();
    let mut tokens = items::tokens(spec);
    while let Some(token) = tokens.next() {
        let (key, value) = items::pair(token, "a virtio device", keys::VIRTIO, diagnostics)?;
        match key {
            "backend" => device.backend_domname = Some(value.text.to_string()),
            "type" if value.text.starts_with("virtio") => {
                let Some(number) = tokens.next() else {
                    diagnostics.error(value.span, "this type has no number").help("write type=virtio,deviceN");
                    return None;
                };
                device.type_ = Some(format!("{},{}", value.text, number.text));
            }
            "type" => device.type_ = Some(value.text.to_string()),
            "transport" => {
                items::choice(value, "transport", &mut device.transport, diagnostics).then_some(())?;
            }
            _ => {
                let mut shared = false;
                items::boolean_of(value, 0, &mut shared, diagnostics);
                device.grant_usage = shared.into();
            }
        }
    }
    Some(device)
}

/// Tells on an x86 host what is asked of an Arm one, and on an Arm host what is asked of a later Xen.
pub(crate) fn tell(reader: &mut Reader<'_>, config: &DomainConfig) {
    for setting in reader.settings.iter().filter(|setting| asks(config, &setting.name)) {
        if IS_X86 {
            let message = format!("`{}' is for Arm hosts, and this is an x86 host", setting.name);
            reader.diagnostics.not_here(setting.name_span, message);
        } else if setting.name == "tee" && config.b_info.tee == TeeType::Ffa {
            let message = format!("`tee = \"ffa\"' {}", keys::NEEDS_LATER);
            reader.diagnostics.not_here(setting.value.span, message);
        }
    }
}

/// Whether the configuration asks for something by this key that only an Arm host has.
fn asks(config: &DomainConfig, key: &str) -> bool {
    let (build, arm) = (&config.b_info, &config.b_info.arch_arm);
    match key {
        "device_tree" => build.device_tree.is_some(),
        "dtdev" => !config.dtdevs.is_empty(),
        "gic_version" => arm.gic_version != GicVersion::Default,
        "vuart" => arm.vuart != VuartType::Unknown,
        "tee" => build.tee != TeeType::None,
        "sve" => arm.sve_vl != SveType::Disabled,
        "nr_spis" => arm.nr_spis.is_some(),
        "trap_unmapped_accesses" => build.trap_unmapped_accesses.is_true(),
        "arm_sci" => arm.arm_sci.as_ref().is_some_and(|interface| *interface != ArmSci::default()),
        "llc_colors" => !build.llc_colors.is_empty(),
        "virtio" => !config.virtios.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::form::Form;
    use super::super::source::{Source, Span};
    use super::*;
    use libxl::types::ArmSciType;

    /// What is read, and the findings.
    fn read(text: &str, refuse: bool) -> (DomainConfig, Diagnostics) {
        let mut diagnostics = if refuse { Diagnostics::for_creation(false) } else { Diagnostics::new(false) };
        let settings = Form::Cfg.parse(&Source::new("t", text.as_bytes()), &mut diagnostics);
        let mut config = DomainConfig::default();
        let reader = &mut Reader { settings: &settings, diagnostics: &mut diagnostics };
        vuart(reader, &mut config.b_info);
        platform(reader, &mut config.b_info);
        tell(reader, &config);
        (config, diagnostics)
    }

    #[test]
    fn keys_are_read() {
        let (config, found) = read(
            "tee='optee'\ngic_version='V3'\nsve=512\nnr_spis=64\narm_sci='type=scmi_smc'\nllc_colors=['0-2',7]\n",
            false,
        );
        let arm = &config.b_info.arch_arm;
        assert!(!found.has_errors());
        assert_eq!((config.b_info.tee, arm.gic_version), (TeeType::Optee, GicVersion::V3));
        assert_eq!((arm.sve_vl, arm.nr_spis), (SveType::Bits512, Some(64)));
        assert_eq!(arm.arm_sci, Some(ArmSci { type_: ArmSciType::ScmiSmc }));
        assert_eq!(config.b_info.llc_colors, [0, 1, 2, 7]);
    }

    #[test]
    fn values_have_stocks_exit_statuses() {
        for (text, status) in [
            ("tee='x'", 3),
            ("gic_version='v9'", 3),
            ("vuart='x'", 1),
            ("sve='100'", 1),
            ("nr_spis='-1'", 1),
            ("arm_sci='type=x'", 1),
            ("llc_colors=['3-1']", 1),
            ("llc_colors=['0-4294967295']", 1),
            ("tee='none'", 0),
            ("sve='disabled'", 0),
        ] {
            assert_eq!(read(text, true).1.exit_status(), status, "{text}");
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_guest_that_asks_for_arm_is_only_shown() {
        for (text, words) in [
            ("tee='optee'\n", "`tee' is for Arm hosts"),
            ("tee='ffa'\n", "`tee' is for Arm hosts"),
            ("nr_spis=64\n", "`nr_spis' is for Arm hosts"),
        ] {
            let (shown, refused) = (read(text, false).1, read(text, true).1);
            assert!(!shown.has_errors() && refused.has_errors());
            assert!(refused.iter().next().unwrap().message.starts_with(words));
        }
    }

    #[test]
    fn virtio_devices() {
        let read = |spec: &str| {
            let mut diagnostics = Diagnostics::new(false);
            virtio(Text::new(spec, Span::default()), &mut diagnostics)
        };
        let device = read("type=virtio,device22, backend=d,transport=mmio,grant_usage=1").unwrap();
        assert_eq!(device.type_.as_deref(), Some("virtio,device22"));
        assert_eq!((device.backend_domname.as_deref(), device.grant_usage.get()), (Some("d"), Some(true)));
        for bad in ["type=virtio", "transport=pci", "colour=red", "backend"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
