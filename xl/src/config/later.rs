//! Keys that only later versions of Xen than 4.17 have: read and checked as they do, kept, and told of, since this one
//! has nothing for them. Those for Arm are in `arm.rs`.

use super::arm::IS_X86;
use super::diagnostic::Diagnostics;
use super::items;
use super::keys::{self, Guests, Key, Status};
use super::number;
use super::reader::Reader;
use super::source::{Span, Text};
use super::xlconf::XlConf;
use libxl::types::{DomainBuildInfo, DomainType, HvmInfo, Smbios, SmbiosType, XsQuotaItem, XsQuotaList};

/// How many strings of a manufacturer's own SMBIOS tables can have.
const MAX_OEM_STRINGS: usize = 99;

/// Reads the keys of all guests.
pub(crate) fn platform(reader: &mut Reader<'_>, build: &mut DomainBuildInfo, xl_conf: &XlConf) {
    // All bits set is libxl's word for "not set".
    build.xenstore_feature_mask = reader.checked("xenstore_feature_mask").filter(|n| *n != u32::MAX);
    xenstore_quota(reader, build);
    bootloader(reader, build, xl_conf);
    build.altp2m_count = reader.checked::<u16>("altp2m_count").map(u32::from);
}

/// Reads the keys of HVM guests.
pub(crate) fn hvm(reader: &mut Reader<'_>, hvm: &mut HvmInfo) {
    reader.set_switch("hvm_pirq", &mut hvm.pirq);
    reader.set_switch("xen_platform_pci_bar_uc", &mut hvm.xen_platform_pci_bar_uc);
    hvm.smbios = reader.each("smbios", smbios);
    if hvm.smbios.iter().filter(|string| string.key == Some(SmbiosType::Oem)).count() > MAX_OEM_STRINGS {
        let message = format!("there can be {MAX_OEM_STRINGS} oem strings");
        reader.diagnostics.error(reader.span("smbios"), message);
    }
}

/// How the bootloader is confined. One that ought to be is not run without.
fn bootloader(reader: &mut Reader<'_>, build: &mut DomainBuildInfo, xl_conf: &XlConf) {
    build.bootloader_restrict = xl_conf.bootloader_restrict;
    reader.set_switch("bootloader_restrict", &mut build.bootloader_restrict);
    reader.set_string("bootloader_user", &mut build.bootloader_user);
    let is_run = build.bootloader.is_some() && build.domain_type() != DomainType::Hvm;
    if is_run && build.bootloader_restrict.is_true() {
        let here = reader.settings.get("bootloader_restrict");
        let (span, place) = match here.or_else(|| reader.settings.get("bootloader")) {
            Some(setting) => (setting.name_span, if here.is_some() { "" } else { " of xl.conf" }),
            None => (Span::default(), ""),
        };
        let message = format!("`bootloader_restrict'{place} {}", keys::NEEDS_LATER);
        let found = reader.diagnostics.not_here(span, message);
        found.help(
            "the bootloader reads what the guest writes; bootloader_restrict = 0 runs it unconfined all the same",
        );
    }
}

fn xenstore_quota(reader: &mut Reader<'_>, build: &mut DomainBuildInfo) {
    let quota = reader.each("xenstore_quota", quota);
    build.xenstore_quota = (!quota.is_empty()).then_some(XsQuotaList { quota });
}

/// `name=number`
fn quota(spec: Text<'_>, diagnostics: &mut Diagnostics) -> Option<XsQuotaItem> {
    let Some((name, value)) = spec.split_once('=') else {
        diagnostics.error(spec.span, format!("not a quota: `{}'", spec.text)).help("write name=number");
        return None;
    };
    let Some(val) = number::whole(value.text, 0).and_then(|n| u32::try_from(n).ok()) else {
        diagnostics.error(value.span, format!("not a number of 32 bits: `{}'", value.text));
        return None;
    };
    Some(XsQuotaItem { name: Some(name.text.to_string()), val })
}

/// `type=string`
fn smbios(spec: Text<'_>, diagnostics: &mut Diagnostics) -> Option<Smbios> {
    let Some((key, value)) = spec.split_once('=').filter(|(_, value)| !value.text.is_empty()) else {
        diagnostics.error(spec.span, format!("not an SMBIOS string: `{}'", spec.text)).help("write type=text");
        return None;
    };
    let mut kind = SmbiosType::Oem;
    items::choice(key, "SMBIOS string", &mut kind, diagnostics)
        .then(|| Smbios { key: Some(kind), value: Some(value.text.to_string()) })
}

/// Tells of the keys that have no effect on Xen 4.17. What is for Arm hosts only is told of by `arm::tell`, confined
/// bootloaders where they are read.
pub(crate) fn tell(reader: &mut Reader<'_>) {
    let is_told = |key: &Key| key.name == "bootloader_restrict" || key.guests == Guests::Arm && IS_X86;
    for key in keys::KEYS.iter().filter(|key| key.status == Status::Later && !is_told(key)) {
        if let Some(setting) = reader.settings.get(key.name) {
            let message = format!("`{}' {}", key.name, keys::NEEDS_LATER);
            reader.diagnostics.ignored(setting.name_span, message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::form::Form;
    use super::super::source::Source;
    use super::*;
    use libxl::types::TypeInfo;

    fn read(text: &str) -> Result<DomainBuildInfo, String> {
        let mut diagnostics = Diagnostics::new(false);
        let settings = Form::Cfg.parse(&Source::new("t", text.as_bytes()), &mut diagnostics);
        let mut build = DomainBuildInfo { type_info: TypeInfo::new(DomainType::Hvm), ..DomainBuildInfo::default() };
        let reader = &mut Reader { settings: &settings, diagnostics: &mut diagnostics };
        platform(reader, &mut build, &XlConf::default());
        hvm(reader, build.hvm_mut().unwrap());
        let first = diagnostics.iter().next().map(|d| d.message.clone());
        first.map_or(Ok(build), Err)
    }

    #[test]
    fn keys_are_read() {
        let build = read(
            "xenstore_feature_mask=0x3\nxenstore_quota=['nodes=0x10']\nbootloader_restrict=1\naltp2m_count=3\n\
             smbios=['oem=a=b','bios_vendor=v']\nhvm_pirq=1\n",
        )
        .unwrap();
        assert_eq!((build.xenstore_feature_mask, build.altp2m_count), (Some(3), Some(3)));
        assert_eq!(build.xenstore_quota.as_ref().unwrap().quota[0].val, 16);
        assert!(build.bootloader_restrict.is_true() && build.hvm().unwrap().pirq.is_true());
        let strings = &build.hvm().unwrap().smbios;
        assert_eq!((strings[0].value.as_deref(), strings[1].key), (Some("a=b"), Some(SmbiosType::BiosVendor)));
    }

    #[test]
    fn values_are_checked() {
        for (text, message) in [
            ("xenstore_quota=['nodes']", "not a quota: `nodes'"),
            ("xenstore_quota=['nodes=']", "not a number of 32 bits: `'"),
            ("xenstore_quota=['nodes=4294967296']", "not a number of 32 bits: `4294967296'"),
            ("xenstore_quota=[['nodes=1']]", "`xenstore_quota' takes single values"),
            ("altp2m_count=65536", "65536 is out of range for `altp2m_count'"),
            ("altp2m_count='x'", "`altp2m_count' is not a valid number: ignored"),
            ("smbios=['oem']", "not an SMBIOS string: `oem'"),
            ("smbios=['oem=']", "not an SMBIOS string: `oem='"),
            ("smbios=['colour=red']", "unknown SMBIOS string `colour'"),
        ] {
            assert_eq!(read(text).unwrap_err(), message);
        }
        let oem = |count| format!("smbios=[{}]", vec!["'oem=x'"; count].join(","));
        assert!(read(&oem(99)).is_ok() && read(&oem(100)).is_err());
    }

    /// Whoever asks for confinement, here or in xl.conf, does not get a bootloader without it.
    #[test]
    fn bootloaders_are_not_run_unconfined() {
        let refused = |text: &str, restrict: Option<bool>| {
            let mut diagnostics = Diagnostics::for_creation(false);
            let settings = Form::Cfg.parse(&Source::new("t", text.as_bytes()), &mut diagnostics);
            let mut build = DomainBuildInfo { bootloader: Some("pygrub".into()), ..DomainBuildInfo::default() };
            let reader = &mut Reader { settings: &settings, diagnostics: &mut diagnostics };
            let xl_conf = XlConf { bootloader_restrict: restrict.into(), ..XlConf::default() };
            platform(reader, &mut build, &xl_conf);
            diagnostics.has_errors()
        };
        assert!(refused("bootloader_restrict=1", None) && refused("bootloader='pygrub'", Some(true)));
        assert!(!refused("bootloader_restrict=0", Some(true)) && !refused("", None));
    }

    /// What the keys set stands in the JSON, and without them it is that of Xen 4.17.
    #[test]
    fn json_has_only_what_is_set() {
        let json = |text| libxl::types::json::to_string(&read(text).unwrap());
        let (without, with) = (json(""), json("xenstore_quota=['nodes=1']\nsmbios=['oem=x']\n"));
        for key in ["xenstore_quota", "smbios", "arm_sci", "llc_colors", "bootloader_restrict", "altp2m_count", "pirq"]
        {
            assert!(!without.contains(key), "{key}");
        }
        assert!(with.contains("\"xenstore_quota\"") && with.contains("\"key\": \"oem\""), "{with}");
    }
}
