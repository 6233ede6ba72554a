//! A guest's configuration (xl.cfg(5)) into libxl's types: what `xl create` reads, key by key in stock xl's order.

use super::arm;
use super::boot;
use super::cpuid;
use super::devices;
use super::diagnostic::{Diagnostics, FAILED};
use super::disk;
use super::form::Form;
use super::grammar::{Setting, Settings};
use super::graphics;
use super::host::HostFacts;
use super::hostio;
use super::hvm;
use super::items;
use super::keys::{self, Guests, Status};
use super::later;
use super::pci;
use super::reader::Reader;
use super::source::{Source, Text};
use super::usb;
use super::vcpus;
use super::vif;
use super::vsnd;
use super::xlconf::{self, XlConf};
use libxl::types::{
    ActionOnShutdown, Altp2mMode, DeviceChannel, DeviceDtdev, DeviceModelVersion, DevicePci, DevicePvcallsif,
    DeviceUsbctrl, DeviceUsbdev, DeviceVdispl, DeviceVfb, DeviceVirtio, DeviceVkb, DeviceVsnd, DeviceVtpm,
    DomainBuildInfo, DomainConfig, DomainType, MsVmGenid, RdmReserve, RdmReservePolicy, TimerMode, TscMode, TypeInfo,
    UnknownName, Uuid,
};
use std::fmt::Display;
use std::str::FromStr;

/// What a guest's configuration is read against.
pub(crate) struct Environment<'a> {
    /// The host.
    pub(crate) host: &'a HostFacts,
    /// xl's own configuration.
    pub(crate) xl_conf: &'a XlConf,
    /// Where Xen's firmware is (`XENFIRMWAREDIR`).
    pub(crate) firmware_dir: &'a str,
    /// The UUID of a guest that gives none.
    pub(crate) uuid: Uuid,
    /// The generation ID of a guest that asks for one.
    pub(crate) genid: MsVmGenid,
}

/// Reads a guest's configuration. It is right if there are no errors among the findings.
pub(crate) fn parse(
    source: &Source,
    form: Form,
    environment: &Environment<'_>,
    diagnostics: &mut Diagnostics,
) -> DomainConfig {
    let settings = form.parse(source, diagnostics);
    if diagnostics.has_errors() {
        return DomainConfig::default();
    }
    from_settings(&settings, environment, diagnostics)
}

/// Reads a guest's settings.
pub(crate) fn from_settings(
    settings: &Settings,
    environment: &Environment<'_>,
    diagnostics: &mut Diagnostics,
) -> DomainConfig {
    let mut config = DomainConfig::default();
    let reader = &mut Reader { settings, diagnostics };
    identity(reader, &mut config, environment);
    pvshim(reader, &mut config.b_info);
    scheduling(reader, &mut config.b_info);
    memory(reader, &mut config.b_info);
    arm::vuart(reader, &mut config.b_info);
    vcpus::read(reader, &mut config.b_info, environment.host);
    limits(reader, &mut config.b_info, environment.xl_conf);
    actions(reader, &mut config);
    host_devices(reader, &mut config);
    time(reader, &mut config.b_info);
    boot::read(reader, &mut config.b_info);
    platform(reader, &mut config, environment);
    hostio::read(reader, &mut config.b_info);
    guest_devices(reader, &mut config, environment);
    config.b_info.cpuid = cpuid::read(reader);
    device_model(reader, &mut config.b_info);
    displays(reader, &mut config);
    last_words(reader, &mut config, environment.xl_conf);
    let guest = config.c_info.type_;
    arm::tell(reader, &config);
    later::tell(reader);
    reader.report_unused(keys::KEYS.iter().map(|k| k.name), |setting| without_effect(setting, guest));
    config
}

/// Type, name, UUID, labels, pool.
fn identity(reader: &mut Reader<'_>, config: &mut DomainConfig, environment: &Environment<'_>) {
    let create = &mut config.c_info;
    reader.set_string("init_seclabel", &mut create.ssid_label);
    // While it is built the domain has the first label, then the second.
    let label = if create.ssid_label.is_some() { &mut config.b_info.exec_ssid_label } else { &mut create.ssid_label };
    reader.set_string("seclabel", label);

    create.run_hotplug_scripts = environment.xl_conf.run_hotplug_scripts.into();
    create.type_ = guest_type(reader);
    config.b_info.type_info = TypeInfo::new(create.type_);
    config.b_info.blkdev_start = environment.xl_conf.blkdev_start.clone();
    reader.set_switch("hap", &mut create.hap);
    create.name = reader.string("name");
    if create.name.is_none() {
        reader.diagnostics.error_overall("the domain has no name").help("add name = \"...\"");
    }
    let given = reader.text("uuid").map(|text| devices::uuid(text, reader.diagnostics));
    create.uuid = given.flatten().unwrap_or(environment.uuid);
    reader.set_switch("oos", &mut create.oos);
    reader.set_string("pool", &mut create.pool_name);
}

/// `type`, and `builder` which says the same; stock xl takes any beginning of the word, even none.
fn guest_type(reader: &mut Reader<'_>) -> DomainType {
    let mut find = |key: &str, words: &[(&str, DomainType)], help: &str| {
        let text = reader.text(key)?;
        let found = words.iter().find(|(word, _)| word.starts_with(text.text));
        if found.is_none() {
            reader.diagnostics.error(text.span, format!("unknown {key} `{}'", text.text)).help(help);
        }
        found.map(|(_, guest)| *guest)
    };
    let words = [("hvm", DomainType::Hvm), ("pv", DomainType::Pv), ("pvh", DomainType::Pvh)];
    let named = find("type", &words, "the type of a guest is pv, pvh or hvm");
    let words = [("hvm", DomainType::Hvm), ("generic", DomainType::Pv)];
    let built = find("builder", &words, "use type = \"pv\", \"pvh\" or \"hvm\"");
    if let (Some(named), Some(built)) = (named, built)
        && named != built
    {
        let span = reader.span("builder");
        reader.diagnostics.error(span, "`builder' and `type' contradict each other").help("leave `builder' out");
    }
    built.or(named).unwrap_or(DomainType::Pv)
}

fn pvshim(reader: &mut Reader<'_>, build: &mut DomainBuildInfo) {
    if let Some(pvh) = build.pvh_mut() {
        reader.set_switch("pvshim", &mut pvh.pvshim);
        reader.set_string("pvshim_path", &mut pvh.pvshim_path);
        reader.set_string("pvshim_cmdline", &mut pvh.pvshim_cmdline);
        reader.set_string("pvshim_extra", &mut pvh.pvshim_extra);
    }
}

fn scheduling(reader: &mut Reader<'_>, build: &mut DomainBuildInfo) {
    let params = &mut build.sched_params;
    for (key, field) in [
        ("cpu_weight", &mut params.weight),
        ("cap", &mut params.cap),
        ("period", &mut params.period),
        ("slice", &mut params.slice),
        ("latency", &mut params.latency),
        ("extratime", &mut params.extratime),
    ] {
        let mut value = -1i32;
        reader.set_number(key, &mut value);
        // -1 is libxl's word for "not set".
        *field = Some(value).filter(|v| *v != -1);
    }
}

fn memory(reader: &mut Reader<'_>, build: &mut DomainBuildInfo) {
    build.target_memkb = reader.mebibytes("memory");
    build.max_memkb = reader.mebibytes("maxmem");
}

fn limits(reader: &mut Reader<'_>, build: &mut DomainBuildInfo, xl_conf: &XlConf) {
    build.max_memkb = build.max_memkb.or(build.target_memkb);
    build.max_grant_frames = xlconf::limit(reader, "max_grant_frames").or(xl_conf.max_grant_frames);
    build.max_maptrack_frames = xlconf::limit(reader, "max_maptrack_frames").or(xl_conf.max_maptrack_frames);
    build.max_grant_version = xlconf::limit(reader, "max_grant_version").or(xl_conf.max_grant_version);
    build.claim_mode = xl_conf.claim_mode.into();
}

/// What to do when the guest ends, by reason.
fn actions(reader: &mut Reader<'_>, config: &mut DomainConfig) {
    use ActionOnShutdown::{Destroy, Restart, SoftReset};
    config.on_poweroff = action(reader, "on_poweroff", Destroy);
    config.on_reboot = action(reader, "on_reboot", Restart);
    config.on_watchdog = action(reader, "on_watchdog", Destroy);
    config.on_crash = action(reader, "on_crash", Destroy);
    config.on_soft_reset = action(reader, "on_soft_reset", SoftReset);
}

/// The words of xl.cfg differ from libxl's.
const ACTIONS: &[(&str, ActionOnShutdown)] = &[
    ("destroy", ActionOnShutdown::Destroy),
    ("restart", ActionOnShutdown::Restart),
    ("rename-restart", ActionOnShutdown::RestartRename),
    ("preserve", ActionOnShutdown::Preserve),
    ("coredump-destroy", ActionOnShutdown::CoredumpDestroy),
    ("coredump-restart", ActionOnShutdown::CoredumpRestart),
    ("soft-reset", ActionOnShutdown::SoftReset),
];

fn action(reader: &mut Reader<'_>, key: &str, default: ActionOnShutdown) -> ActionOnShutdown {
    let Some(text) = reader.text(key) else { return default };
    if let Some((_, action)) = ACTIONS.iter().find(|(word, _)| *word == text.text) {
        return *action;
    }
    let words: Vec<&str> = ACTIONS.iter().map(|(word, _)| *word).collect();
    let message = format!("unknown {key} action `{}'", text.text);
    reader.diagnostics.error(text.span, message).help(format!("the actions are {}", words.join(", ")));
    default
}

/// Devices of the host: PCI and device tree, and how they are isolated.
fn host_devices(reader: &mut Reader<'_>, config: &mut DomainConfig) {
    if let Some(pv) = config.b_info.pv_mut() {
        reader.set_switch("e820_host", &mut pv.e820_host);
    }
    let mut template = DevicePci::default();
    for (key, field) in [
        ("pci_msitranslate", &mut template.msitranslate),
        ("pci_power_mgmt", &mut template.power_mgmt),
        ("pci_permissive", &mut template.permissive),
        ("pci_seize", &mut template.seize),
    ] {
        *field = reader.boolean(key).unwrap_or(false);
    }
    let rdm = reader.text("rdm").and_then(|text| pci::rdm(text, reader.diagnostics));
    template.rdm_policy = rdm_policy(&rdm, config.c_info.type_);
    if let (Some(rdm), Some(hvm)) = (rdm, config.b_info.hvm_mut()) {
        hvm.rdm = rdm;
    }
    for text in reader.texts("pci").unwrap_or_default() {
        let mut device = template.clone();
        if pci::parse(text, &mut device, reader.diagnostics) {
            config.pcidevs.push(device);
        }
    }
    if let (Some(pv), false) = (config.b_info.pv_mut(), config.pcidevs.is_empty()) {
        pv.e820_host = true.into();
    }
    let paths = reader.strings("dtdev");
    config.dtdevs = paths.into_iter().map(|path| DeviceDtdev { path: Some(path) }).collect();
    if let Some(passthrough) = reader.text("passthrough") {
        items::choice(passthrough, "passthrough", &mut config.c_info.passthrough, reader.diagnostics);
    }
}

/// The policy of PCI devices that give none: stock xl's is strict, but for HVM guests, where libxl chooses.
fn rdm_policy(rdm: &Option<RdmReserve>, guest: DomainType) -> RdmReservePolicy {
    match (rdm, guest) {
        (Some(rdm), _) => rdm.policy,
        (None, DomainType::Hvm) => RdmReservePolicy::Invalid,
        (None, _) => RdmReservePolicy::Strict,
    }
}

/// Clocks, and what stock xl reads between them.
fn time(reader: &mut Reader<'_>, build: &mut DomainBuildInfo) {
    build.shadow_memkb = reader.mebibytes("shadow_memory");
    reader.set_switch("nomigrate", &mut build.disable_migrate);
    number_or_choice(reader, "tsc_mode", &mut build.tsc_mode, TscMode::from_number, true);
    if let Some(offset) = reader.checked::<i32>("rtc_timeoffset") {
        // Negative offsets are kept as libxl keeps them, in 32 bits without a sign.
        build.rtc_timeoffset = offset as u32;
    }
    if reader.number("vncviewer").is_some() {
        let span = reader.span("vncviewer");
        reader.diagnostics.ignored(span, "`vncviewer' has no effect").help("use `xl create -V'");
    }
    reader.set_switch("localtime", &mut build.localtime);
    build.video_memkb = reader.mebibytes("videoram");
    reader.set_number("max_event_channels", &mut build.event_channels);
}

/// A choice by name, or by number, which may be deprecated.
fn number_or_choice<T>(
    reader: &mut Reader<'_>,
    key: &str,
    field: &mut T,
    from_number: fn(i32) -> Option<T>,
    deprecated: bool,
) where
    T: FromStr<Err = UnknownName> + Display,
{
    let Some(number) = reader.number_if_one(key) else {
        if let Some(text) = reader.text(key) {
            items::choice(text, key, field, reader.diagnostics);
        }
        return;
    };
    let span = reader.span(key);
    match i32::try_from(number).ok().filter(|n| *n >= 0).and_then(from_number) {
        Some(value) => {
            if deprecated {
                let found = reader.diagnostics.warning(span, format!("`{key}' as a number is deprecated"));
                found.help(format!("write {key} = \"{value}\""));
            }
            *field = value;
        }
        None => {
            reader.diagnostics.error(span, format!("there is no {key} {number}"));
        }
    }
}

fn platform(reader: &mut Reader<'_>, config: &mut DomainConfig, environment: &Environment<'_>) {
    reader.set_switch("driver_domain", &mut config.c_info.driver_domain);
    let build = &mut config.b_info;
    reader.set_switch("acpi", &mut build.acpi);
    let guest = build.domain_type();
    if guest == DomainType::Pv && (reader.number_if_one("timer_mode").is_some() || reader.text("timer_mode").is_some())
    {
        let span = reader.span("timer_mode");
        reader.diagnostics.error(span, "`timer_mode' is not for PV guests").status(FAILED);
    } else {
        number_or_choice(reader, "timer_mode", &mut build.timer_mode, TimerMode::from_number, true);
    }
    reader.set_switch("nestedhvm", &mut build.nested_hvm);
    match guest {
        DomainType::Hvm => hvm::platform(reader, build, environment.genid),
        _ => boot::paravirtual(reader, build, environment.firmware_dir),
    }
    number_or_choice(reader, "altp2m", &mut build.altp2m, Altp2mMode::from_number, false);
    reader.set_number("vmtrace_buf_kb", &mut build.vmtrace_buf_kb);
}

/// The guest's own devices.
fn guest_devices(reader: &mut Reader<'_>, config: &mut DomainConfig, environment: &Environment<'_>) {
    config.disks = each_device(reader, "disk", |spec, _, diagnostics| disk::parse(&[spec], diagnostics));
    let name = config.c_info.name.as_deref().unwrap_or_default();
    config.p9s = each_device(reader, "p9", |spec, _, diagnostics| devices::p9(spec, name, diagnostics));
    config.vtpms = each_device(reader, "vtpm", |spec, devid, diagnostics| {
        devices::vtpm(spec, diagnostics).map(|d| DeviceVtpm { devid, ..d })
    });
    config.vdispls = each_device(reader, "vdispl", |spec, devid, diagnostics| {
        devices::vdispl(spec, diagnostics).map(|d| DeviceVdispl { devid, ..d })
    });
    config.pvcallsifs = each_device(reader, "pvcalls", |spec, devid, diagnostics| {
        devices::pvcalls(spec, diagnostics).map(|d| DevicePvcallsif { devid, ..d })
    });
    config.vsnds = sound_cards(reader);
    config.channels = each_device(reader, "channel", |spec, devid, diagnostics| {
        devices::channel(spec, diagnostics).map(|d| DeviceChannel { devid, ..d })
    });
    config.nics = each_device(reader, "vif", |spec, devid, diagnostics| {
        let mut nic = environment.xl_conf.default_nic();
        nic.devid = devid;
        items::tokens(spec).for_each(|token| {
            vif::parameter(token, &mut nic, diagnostics);
        });
        Some(nic)
    });
    if reader.list("vif2").is_some() {
        let span = reader.span("vif2");
        reader.diagnostics.ignored(span, "`vif2' has no effect: netchannel2 is gone").help("use `vif'");
    }
    config.virtios = each_device(reader, "virtio", |spec, devid, diagnostics| {
        arm::virtio(spec, diagnostics).map(|d| DeviceVirtio { devid, ..d })
    });
    config.vfbs = each_device(reader, "vfb", |spec, devid, diagnostics| {
        Some(DeviceVfb { devid, ..graphics::vfb(spec, diagnostics) })
    });
    config.usbctrls = each_device(reader, "usbctrl", |spec, devid, diagnostics| {
        let mut controller = DeviceUsbctrl { devid, ..DeviceUsbctrl::default() };
        let right = items::tokens(spec).all(|token| usb::controller(token, &mut controller, diagnostics));
        right.then_some(controller)
    });
    config.usbdevs = each_device(reader, "usbdev", |spec, _, diagnostics| {
        let mut device = DeviceUsbdev::default();
        let right = items::tokens(spec).all(|token| usb::device(token, &mut device, diagnostics));
        right.then_some(device)
    });
}

/// Reads each specification of a list, with its place there as the number of the device.
fn each_device<T>(
    reader: &mut Reader<'_>,
    key: &str,
    mut parse: impl FnMut(Text<'_>, Option<u32>, &mut Diagnostics) -> Option<T>,
) -> Vec<T> {
    let specs = reader.texts(key).unwrap_or_default();
    specs.into_iter().zip(0..).filter_map(|(spec, devid)| parse(spec, Some(devid), reader.diagnostics)).collect()
}

fn sound_cards(reader: &mut Reader<'_>) -> Vec<DeviceVsnd> {
    let mut cards = Vec::new();
    for (value, devid) in reader.list("vsnd").unwrap_or_default().iter().zip(0..) {
        let mut card = DeviceVsnd { devid: Some(devid), ..DeviceVsnd::default() };
        match value.list() {
            Some(parts) => {
                let parts = reader.leading_texts("vsnd", parts);
                parts.into_iter().all(|part| vsnd::part(part, &mut card, reader.diagnostics));
                cards.push(card);
            }
            None => {
                let error = reader.diagnostics.error(value.span, "a virtual sound card is a list");
                error.help("vsnd = [ [ \"card, ...\", \"pcm, ...\", \"stream, ...\" ] ]");
            }
        }
    }
    cards
}

/// The device model and its domain.
fn device_model(reader: &mut Reader<'_>, build: &mut DomainBuildInfo) {
    if let Some(text) = reader.text("device_model") {
        let better = match (text.text.contains("stubdom-dm"), build.domain_type()) {
            (true, DomainType::Hvm) => "use `device_model_override', or `device_model_stubdomain_override'",
            _ => "use `device_model_override' for other than the usual device model",
        };
        reader.diagnostics.ignored(text.span, "`device_model' has no effect").help(better);
    }
    reader.set_string("device_model_override", &mut build.device_model);
    if let Some(text) = reader.text("device_model_version") {
        match text.text {
            "qemu-xen-traditional" => build.device_model_version = DeviceModelVersion::QemuXenTraditional,
            "qemu-xen" => build.device_model_version = DeviceModelVersion::QemuXen,
            unknown => {
                let message = format!("unknown device_model_version `{unknown}'");
                reader.diagnostics.error(text.span, message).help("it is qemu-xen or qemu-xen-traditional");
            }
        }
    } else if build.device_model.is_some() {
        let span = reader.span("device_model_override");
        let found = reader.diagnostics.warning(span, "`device_model_override' without `device_model_version'");
        found.help("say which it is: device_model_version = \"qemu-xen\"");
    }
    reader.set_switch("device_model_stubdomain_override", &mut build.device_model_stubdomain);
    reader.set_string("device_model_stubdomain_seclabel", &mut build.device_model_ssid_label);
    reader.set_string("device_model_user", &mut build.device_model_user);
    reader.set_string("stubdomain_kernel", &mut build.stubdomain_kernel);
    reader.set_string("stubdomain_cmdline", &mut build.stubdomain_cmdline);
    reader.set_string("stubdomain_ramdisk", &mut build.stubdomain_ramdisk);
    build.stubdomain_memkb = reader.mebibytes("stubdomain_memory");
    build.extra = boot::device_model_args(reader, "device_model_args");
    build.extra_pv = boot::device_model_args(reader, "device_model_args_pv");
    build.extra_hvm = boot::device_model_args(reader, "device_model_args_hvm");
}

/// Displays and emulated devices. Each PV frame buffer comes with a keyboard.
fn displays(reader: &mut Reader<'_>, config: &mut DomainConfig) {
    if config.c_info.type_ == DomainType::Pv && config.vfbs.is_empty() && reader.number("vnc").unwrap_or(0) != 0 {
        let mut vfb = DeviceVfb { devid: Some(0), ..Default::default() };
        graphics::vnc(reader, &mut vfb.vnc);
        graphics::sdl(reader, &mut vfb.sdl);
        reader.set_string("keymap", &mut vfb.keymap);
        config.vfbs.push(vfb);
    }
    config.vkbs = (0..).zip(&config.vfbs).map(|(n, _)| DeviceVkb { devid: Some(n), ..Default::default() }).collect();
    reader.set_switch("dm_restrict", &mut config.b_info.dm_restrict);
    if let Some(hvm) = config.b_info.hvm_mut() {
        hvm::devices(reader, hvm);
    }
}

/// Arm's keys, keyboards, and a few more.
fn last_words(reader: &mut Reader<'_>, config: &mut DomainConfig, xl_conf: &XlConf) {
    let build = &mut config.b_info;
    arm::platform(reader, build);
    later::platform(reader, build, xl_conf);
    let first = config.vkbs.len() as u32;
    config.vkbs.extend(each_device(reader, "vkb", |spec, number, diagnostics| {
        devices::vkb(spec, diagnostics).map(|d| DeviceVkb { devid: number.map(|n| n + first), ..d })
    }));
    reader.set_switch("xend_suspend_evtchn_compat", &mut config.c_info.xend_suspend_evtchn_compat);
    if let Some(on) = reader.boolean("msr_relaxed") {
        build.arch_x86.msr_relaxed = on.into();
        let span = reader.span("msr_relaxed");
        let found = reader.diagnostics.warning(span, "`msr_relaxed' will be gone in later versions of Xen");
        found.help("if a guest needs it, tell xen-devel@lists.xenproject.org");
    }
    reader.set_switch("vpmu", &mut build.vpmu);
}

/// Why a known key has no effect: nobody asked for it, or nothing comes of it for this type of guest.
fn without_effect(setting: &Setting, guest: DomainType) -> Option<String> {
    let key = keys::find(&setting.name)?;
    let is_for_it = key.guests.include(guest);
    // These are told of where they are read.
    let is_told = key.guests == Guests::Arm || key.status == Status::Later || key.name == "timer_mode";
    if setting.used.get() && (is_for_it || is_told) {
        return None;
    }
    let name = key.name;
    Some(match key.guests.names() {
        Some(kinds) if !is_for_it => {
            format!("`{name}' is for {kinds} guests, and this is a {} guest", guest.name().to_uppercase())
        }
        _ => format!("`{name}' has no effect here"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use libxl::types::json;

    /// The configuration, and what was found.
    fn found(text: &str, strict: bool) -> (DomainConfig, Diagnostics) {
        let (host, xl_conf) = (HostFacts::even(8, 2), XlConf::default());
        let environment = Environment {
            host: &host,
            xl_conf: &xl_conf,
            firmware_dir: "/firmware",
            uuid: Uuid::default(),
            genid: MsVmGenid([7; 16]),
        };
        let mut diagnostics = Diagnostics::new(strict);
        let config = parse(&Source::new("t", text.as_bytes()), Form::Cfg, &environment, &mut diagnostics);
        (config, diagnostics)
    }

    /// The configuration as JSON, and how many findings there are.
    fn read(text: &str) -> (String, usize) {
        let (config, diagnostics) = found(text, false);
        (json::to_string(&config), diagnostics.iter().count())
    }

    #[test]
    fn keys_of_other_guests_are_told_of() {
        let (pv, pvh, hvm) = ("kernel='/k'", "type='pvh'\nkernel='/k'", "type='hvm'");
        for (kind, setting, kinds) in [
            (pv, "device_model_args_hvm=['-x']", "HVM guests, and this is a PV"),
            (pv, "stubdomain_memory=64", "HVM guests, and this is a PV"),
            (pv, "shadow_memory=8", "HVM and PVH guests, and this is a PV"),
            (pv, "nestedhvm=1", "HVM and PVH guests, and this is a PV"),
            (pv, "rdm='strategy=host,policy=strict'", "HVM guests, and this is a PV"),
            (pvh, "e820_host=1", "PV guests, and this is a PVH"),
            (hvm, "device_model_args_pv=['-x']", "PV and PVH guests, and this is a HVM"),
        ] {
            let key = setting.split('=').next().unwrap();
            let text = format!("name='n'\n{kind}\n{setting}\n");
            let (_, plain) = found(&text, false);
            let told: Vec<_> = plain.iter().map(|d| d.message.as_str()).collect();
            assert_eq!(told, [format!("`{key}' is for {kinds} guest: ignored")]);
            assert!(!plain.has_errors() && found(&text, true).1.has_errors(), "{setting}");
        }
        for setting in ["rtc_timeoffset=60", "videoram=4", "vfb=['vnc=1']", "device_model_args_pv=['-x']"] {
            assert_eq!(read(&format!("name='n'\n{pvh}\n{setting}\n")).1, 0, "{setting}");
        }
        // It is an error, and told once.
        assert_eq!(read(&format!("name='n'\n{pv}\ntimer_mode='no_delay_for_missed_ticks'\n")).1, 1);
    }

    /// Whatever is said of a key, right or wrong, changes the guest or is told of.
    #[test]
    fn nothing_is_lost_in_silence() {
        for kind in ["kernel='/k'", "type='hvm'", "type='pvh'\nkernel='/k'"] {
            for key in keys::KEYS {
                // Options for all PCI devices need one.
                let device = if key.name.starts_with("pci_") { "pci=['01:00.0']\n" } else { "" };
                let base = format!("name='n'\n{kind}\n{device}");
                let without = read(&base);
                for value in ["7", "'odd'", "['odd']", "[['odd']]", "[[['odd']]]"] {
                    let (config, findings) = read(&format!("{base}{} = {value}\n", key.name));
                    assert!(findings > 0 || config != without.0, "{} = {value} of a guest with {kind}", key.name);
                }
            }
        }
    }
}
