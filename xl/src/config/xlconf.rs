//! The configuration of xl itself, xl.conf(5).

use super::cpurange;
use super::diagnostic::Diagnostics;
use super::grammar::Settings;
use super::host::HostFacts;
use super::reader::Reader;
use libxl::types::{Bitmap, DefBool, DeviceNic, DomainConfig, DomainType};

/// What xl.conf says, with stock xl's defaults for what it does not.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct XlConf {
    /// Whether memory for new domains is taken from domain 0; undecided, Xen's command line decides.
    pub(crate) autoballoon: Option<bool>,
    /// Whether xl runs hotplug scripts itself. It does in any case, as stock xl: this is only shown.
    pub(crate) run_hotplug_scripts: bool,
    /// The file that is locked while memory is taken from domain 0.
    pub(crate) lockfile: String,
    /// Defaults for network devices.
    pub(crate) vif: VifDefaults,
    /// Whether configurations are shown as S-expressions rather than as JSON.
    pub(crate) output_sxp: bool,
    /// The first virtual device that is free for the bootloader's disks.
    pub(crate) blkdev_start: Option<String>,
    /// Default for a guest's `bootloader_restrict` (Xen after 4.17).
    pub(crate) bootloader_restrict: DefBool,
    /// Whether memory is claimed before a domain is built.
    pub(crate) claim_mode: bool,
    /// Remus's script for network buffering.
    pub(crate) remus_netbufscript: Option<String>,
    /// COLO's proxy script.
    pub(crate) colo_proxyscript: Option<String>,
    /// Default for a guest's `max_grant_frames`.
    pub(crate) max_grant_frames: Option<u32>,
    /// Default for a guest's `max_maptrack_frames`.
    pub(crate) max_maptrack_frames: Option<u32>,
    /// Default for a guest's `max_grant_version`.
    pub(crate) max_grant_version: Option<u32>,
    /// The cpus that guests may run on.
    pub(crate) masks: CpuMasks,
    /// Whether new domains get random numbers.
    pub(crate) random_domids: bool,
}

/// Defaults for network devices (`vif.default.*`).
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct VifDefaults {
    pub(crate) script: Option<String>,
    pub(crate) bridge: Option<String>,
    pub(crate) gatewaydev: Option<String>,
    pub(crate) backend: Option<String>,
}

/// The cpus that guests may run on (`vm.cpumask` and so on); all if there is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct CpuMasks {
    /// Any guest.
    pub(crate) all: Option<Bitmap>,
    /// HVM and PVH guests.
    pub(crate) hvm: Option<Bitmap>,
    /// PV guests.
    pub(crate) pv: Option<Bitmap>,
}

impl Default for XlConf {
    fn default() -> XlConf {
        XlConf {
            autoballoon: None,
            run_hotplug_scripts: true,
            lockfile: "/var/lock/xl".to_string(),
            vif: VifDefaults::default(),
            output_sxp: false,
            blkdev_start: None,
            bootloader_restrict: DefBool::default(),
            claim_mode: true,
            remus_netbufscript: None,
            colo_proxyscript: None,
            max_grant_frames: None,
            max_maptrack_frames: None,
            max_grant_version: None,
            masks: CpuMasks::default(),
            random_domids: false,
        }
    }
}

/// Reads the settings of xl.conf. Errors mean that no command can go on; the exit status is in the findings.
pub(crate) fn read(settings: &Settings, host: &HostFacts, diagnostics: &mut Diagnostics) -> XlConf {
    let mut conf = XlConf::default();
    let reader = &mut Reader { settings, diagnostics };
    if let Some(choice) = word(reader, "autoballoon", &["auto", "on", "off", "1", "0"]) {
        conf.autoballoon = (choice != "auto").then_some(choice == "on" || choice == "1");
    }
    if let Some(on) = reader.boolean("run_hotplug_scripts") {
        conf.run_hotplug_scripts = on;
        if !on {
            let message = "`run_hotplug_scripts = 0': nothing but xl runs them";
            let found = reader.diagnostics.ignored(reader.span("run_hotplug_scripts"), message);
            found.help("a device may have a script of its own, with script=");
        }
    }
    if let Some(path) = reader.string("lockfile") {
        conf.lockfile = path;
    }
    deprecated(reader, "vifscript", "vif.default.script", &mut conf.vif.script);
    deprecated(reader, "defaultbridge", "vif.default.bridge", &mut conf.vif.bridge);
    reader.set_string("vif.default.gatewaydev", &mut conf.vif.gatewaydev);
    reader.set_string("vif.default.backend", &mut conf.vif.backend);
    if let Some(format) = word(reader, "output_format", &["json", "sxp"]) {
        conf.output_sxp = format == "sxp";
    }
    reader.set_string("blkdev_start", &mut conf.blkdev_start);
    if let Some(on) = reader.boolean("claim_mode") {
        conf.claim_mode = on;
    }
    reader.set_string("remus.default.netbufscript", &mut conf.remus_netbufscript);
    reader.set_string("colo.default.proxyscript", &mut conf.colo_proxyscript);
    conf.max_grant_frames = limit(reader, "max_grant_frames");
    conf.max_maptrack_frames = limit(reader, "max_maptrack_frames");
    conf.max_grant_version = limit(reader, "max_grant_version");
    conf.masks.all = mask(reader, "vm.cpumask", host);
    conf.masks.hvm = mask(reader, "vm.hvm.cpumask", host);
    conf.masks.pv = mask(reader, "vm.pv.cpumask", host);
    if let Some(policy) = word(reader, "domid_policy", &["xen", "random"]) {
        conf.random_domids = policy == "random";
    }
    reader.set_switch("bootloader_restrict", &mut conf.bootloader_restrict);
    reader.report_unused(KEYS.iter().copied(), |_| None);
    conf
}

/// Every key.
pub(crate) const KEYS: &[&str] = &[
    "autoballoon",
    "run_hotplug_scripts",
    "lockfile",
    "vifscript",
    "vif.default.script",
    "defaultbridge",
    "vif.default.bridge",
    "vif.default.gatewaydev",
    "vif.default.backend",
    "output_format",
    "blkdev_start",
    "claim_mode",
    "remus.default.netbufscript",
    "colo.default.proxyscript",
    "max_grant_frames",
    "max_maptrack_frames",
    "max_grant_version",
    "vm.cpumask",
    "vm.hvm.cpumask",
    "vm.pv.cpumask",
    "domid_policy",
    "bootloader_restrict",
];

fn word<'a>(reader: &mut Reader<'a>, key: &str, known: &[&str]) -> Option<&'a str> {
    let text = reader.text(key)?;
    if known.contains(&text.text) {
        return Some(text.text);
    }
    let message = format!("unknown {key} `{}'", text.text);
    reader.diagnostics.ignored(text.span, message).help(format!("it is one of {}", known.join(", ")));
    None
}

fn deprecated(reader: &mut Reader<'_>, old: &str, new: &str, field: &mut Option<String>) {
    if reader.has(old) {
        let message = format!("`{old}' is deprecated");
        reader.diagnostics.warning(reader.span(old), message).help(format!("use `{new}'"));
    }
    reader.set_string(old, field);
    reader.set_string(new, field);
}

/// A limit of grant tables; stock xl gives up on one that it cannot read.
pub(crate) fn limit(reader: &mut Reader<'_>, key: &str) -> Option<u32> {
    if !reader.has(key) {
        return None;
    }
    let limit = reader.number_if_one(key).and_then(|n| i32::try_from(n).ok()).and_then(|n| u32::try_from(n).ok());
    if limit.is_none() {
        reader.diagnostics.error(reader.span(key), format!("`{key}' is a number from 0 to {}", i32::MAX));
    }
    limit
}

fn mask(reader: &mut Reader<'_>, key: &str, host: &HostFacts) -> Option<Bitmap> {
    let text = reader.text(key)?;
    cpurange::parse(text, host, reader.diagnostics)
}

impl XlConf {
    /// Whether memory for new domains is taken from domain 0. Undecided, it is, unless Xen's command line gives
    /// domain 0 a fixed amount.
    pub(crate) fn autoballoon(&self, xen_command_line: &str) -> bool {
        self.autoballoon.unwrap_or_else(|| !xen_command_line.split(' ').any(is_dom0_mem))
    }

    /// Gives a new network device the defaults.
    pub(crate) fn default_nic(&self) -> DeviceNic {
        DeviceNic {
            script: self.vif.script.clone(),
            bridge: self.vif.bridge.clone(),
            gatewaydev: self.vif.gatewaydev.clone(),
            backend_domname: self.vif.backend.clone(),
            ..DeviceNic::default()
        }
    }
}

impl CpuMasks {
    /// Keeps a guest's vcpus on the cpus that guests of its type may run on. False if one would have none left.
    pub(crate) fn apply(&self, config: &mut DomainConfig, host: &HostFacts) -> bool {
        let of_type = if config.c_info.type_ == DomainType::Pv { &self.pv } else { &self.hvm };
        let build = &mut config.b_info;
        let masks: Vec<&Bitmap> = [&self.all, of_type].into_iter().flatten().collect();
        let everywhere = Bitmap::full(host.no_cpus().size());
        if build.vcpu_hard_affinity.is_empty() && masks.iter().any(|mask| **mask != everywhere) {
            // A guest of which nothing is said has one vcpu.
            build.vcpu_hard_affinity = vec![everywhere; build.max_vcpus.max(1) as usize];
        }
        for map in &mut build.vcpu_hard_affinity {
            *map = masks.iter().fold(map.clone(), |map, mask| map.intersection(mask));
        }
        build.vcpu_hard_affinity.iter().all(|map| !map.is_empty())
    }
}

/// Whether an option of Xen is a well-formed `dom0_mem=`: amounts or percentages, with `min:` or `max:`.
fn is_dom0_mem(option: &str) -> bool {
    let Some(amounts) = option.strip_prefix("dom0_mem=") else { return false };
    let amounts = amounts.strip_suffix(',').unwrap_or(amounts);
    amounts.split(',').all(|amount| {
        let amount = amount.strip_prefix("min:").or_else(|| amount.strip_prefix("max:")).unwrap_or(amount);
        match amount.strip_suffix('%') {
            None => is_size(amount),
            Some(share) => match share.rsplit_once('+') {
                Some((size, percent)) => is_size(size) && is_percent(percent),
                None => is_percent(share),
            },
        }
    })
}

fn is_size(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let digits = text.trim_end_matches(|c: char| "bBkKmMgGtT".contains(c));
    text.len() - digits.len() <= 1 && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

fn is_percent(text: &str) -> bool {
    (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::super::form::Form;
    use super::super::source::Source;
    use super::*;

    fn read(text: &str) -> (XlConf, Vec<String>, i32) {
        let mut diagnostics = Diagnostics::new(false);
        let settings = Form::Cfg.parse(&Source::new("xl.conf", text.as_bytes()), &mut diagnostics);
        let conf = super::read(&settings, &HostFacts::even(8, 2), &mut diagnostics);
        (conf, diagnostics.iter().map(|d| d.message.clone()).collect(), diagnostics.exit_status())
    }

    #[test]
    fn nothing_said_is_stock_defaults() {
        assert_eq!(read(""), (XlConf::default(), vec![], 0));
    }

    #[test]
    fn toml_says_the_same() {
        let text = "autoballoon = 'off'\nclaim_mode = false\nmax_grant_frames = 64\n[vif.default]\nbridge = 'b'\n\
                    [vm.pv]\ncpumask = '2-5'\n";
        let mut diagnostics = Diagnostics::new(true);
        let settings = Form::Toml.parse(&Source::new("xl.toml", text.as_bytes()), &mut diagnostics);
        let conf = super::read(&settings, &HostFacts::even(8, 2), &mut diagnostics);
        assert!(!diagnostics.has_errors());
        let cfg =
            "autoballoon=\"off\"\nclaim_mode=0\nmax_grant_frames=64\nvif.default.bridge=\"b\"\nvm.pv.cpumask=\"2-5\"";
        assert_eq!(conf, read(cfg).0);
        assert_eq!(conf.vif.bridge.as_deref(), Some("b"));
    }

    #[test]
    fn new_names_go_before_old_ones() {
        let (conf, warnings, _) = read("vifscript=\"old\"\nvif.default.script=\"new\"\ndefaultbridge=\"br9\"\n");
        assert_eq!((conf.vif.script.as_deref(), conf.vif.bridge.as_deref()), (Some("new"), Some("br9")));
        assert_eq!(warnings, ["`vifscript' is deprecated", "`defaultbridge' is deprecated"]);
    }

    #[test]
    fn wrong_words_keep_the_default_and_wrong_limits_end_it() {
        let (conf, warnings, status) = read("autoballoon=\"maybe\"\ndomid_policy=\"random\"\nvif.default.brigde=\"x\"");
        assert_eq!((conf.autoballoon, conf.random_domids, status), (None, true, 0));
        assert_eq!(warnings, ["unknown autoballoon `maybe': ignored", "unknown key `vif.default.brigde': ignored"]);
        assert_eq!(read("run_hotplug_scripts=0").1.len(), 1);
        assert_eq!(read("max_grant_frames=\"x\"").2, 1);
        assert_eq!(read("max_grant_frames=64").0.max_grant_frames, Some(64));
    }

    #[test]
    fn autoballoon_by_xens_command_line() {
        let conf = XlConf::default();
        for fixed in ["dom0_mem=1G", "com1 dom0_mem=512M,max:1g x", "dom0_mem=min:10%,max:1G+5%,", "dom0_mem=-1"] {
            assert!(!conf.autoballoon(fixed), "{fixed}");
        }
        for open in ["", "dom0_mem=", "dom0_mem=x", "xdom0_mem=1G", "dom0_mem=1GB", "dom0_mem=100%"] {
            assert!(conf.autoballoon(open), "{open}");
        }
        assert!(!read("autoballoon=0").0.autoballoon(""));
    }

    #[test]
    fn masks_keep_vcpus_in() {
        let host = HostFacts::even(8, 2);
        let (conf, ..) = read("vm.cpumask=\"0-3\"\nvm.pv.cpumask=\"2-5\"");
        let mut config = DomainConfig::default();
        config.c_info.type_ = DomainType::Pv;
        config.b_info.max_vcpus = 2;
        assert!(conf.masks.apply(&mut config, &host));
        assert_eq!(config.b_info.vcpu_hard_affinity, vec![(2..4).collect(); 2]);
        config.b_info.max_vcpus = 0;
        config.b_info.vcpu_hard_affinity.clear();
        assert!(conf.masks.apply(&mut config, &host));
        assert_eq!(config.b_info.vcpu_hard_affinity, vec![(2..4).collect()]);
        config.b_info.vcpu_hard_affinity = vec![(6..8).collect()];
        assert!(!conf.masks.apply(&mut config, &host));
    }
}
