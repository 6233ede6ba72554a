//! What the fuzz targets call: streams (`stream`), and xl's own reading of configurations, and what has to hold for any of them.
//!
//! Nothing may panic, overflow or go on for ever; findings can be shown; and a configuration without errors says the
//! same after `xl convert` to TOML and back.

mod fake_xen;
pub mod stream;

#[path = "../../../xl/src/config/mod.rs"]
mod config;
#[path = "../../../xl/src/failure.rs"]
mod failure;

use config::diagnostic::Diagnostics;
use config::form::Form;
use config::grammar::{Kind, Settings, Value};
use config::guest::{self, Environment};
use config::host::HostFacts;
use config::source::{Source, Span, Text};
use config::xlconf::{self, XlConf};
use config::{cpupool, cpurange, vif, write};
use libxl::types::{DeviceNic, DomainConfig, MsVmGenid, Uuid};

/// A file in xl.cfg's form.
pub fn cfg(data: &[u8]) {
    file(Form::Cfg, data);
}

/// A file in TOML.
pub fn toml(data: &[u8]) {
    file(Form::Toml, data);
}

fn file(form: Form, data: &[u8]) {
    let source = Source::new("file", data);
    let mut diagnostics = Diagnostics::new(false);
    let settings = form.parse(&source, &mut diagnostics);
    read(&settings, &mut diagnostics, &source);
}

/// A file of xl's own configuration.
pub fn xl_conf(data: &[u8]) {
    let source = Source::new("xl.conf", data);
    let mut diagnostics = Diagnostics::new(false);
    let settings = Form::Cfg.parse(&source, &mut diagnostics);
    let conf = xlconf::read(&settings, &HostFacts::even(8, 2), &mut diagnostics);
    diagnostics.render(&source);
    conf.autoballoon(&String::from_utf8_lossy(data));
    let mut config = DomainConfig::default();
    config.b_info.max_vcpus = 4;
    conf.masks.apply(&mut config, &HostFacts::even(8, 2));
}

/// A file that describes a CPU pool.
pub fn cpupool(data: &[u8]) {
    let source = Source::new("pool", data);
    let mut diagnostics = Diagnostics::new(false);
    let settings = Form::Cfg.parse(&source, &mut diagnostics);
    let free = (2..8).collect();
    let pool = cpupool::read(&settings, &HostFacts::even(8, 2), &free, &mut diagnostics);
    diagnostics.render(&source);
    assert!(diagnostics.has_errors() || pool.cpus.is_subset(&free), "{pool:?}");
}

/// A range of cpus on the command line.
pub fn cpus(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut diagnostics = Diagnostics::new(true);
    cpurange::parse(Text::new(text, Span::new(0, text.len())), &HostFacts::even(8, 2), &mut diagnostics);
    diagnostics.render(&Source::new("command line", data));
}

/// The arguments of network-attach, one a line.
pub fn network_attach(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut diagnostics = Diagnostics::new(true);
    let mut nic = DeviceNic::default();
    for (start, line) in lines(text) {
        vif::parameter(Text::new(line, Span::new(start, start + line.len())), &mut nic, &mut diagnostics);
    }
    diagnostics.render(&Source::new("command line", data));
}

/// One of these keys in a guest's configuration, chosen by the first byte. The rest are its items, one a line; parts of
/// one item are separated by `|`. For a guest of each type.
pub fn values(keys: &[&str], data: &[u8]) {
    let Some((&choice, rest)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    if text.contains('\0') {
        return; // The grammar lets none through.
    }
    let key = keys[usize::from(choice) % keys.len()];
    for guest in ["pv", "hvm", "pvh"] {
        let mut diagnostics = Diagnostics::new(false);
        let mut settings = Settings::default();
        let string =
            |text: &str, start: usize| Value::new(Kind::String(text.to_string()), Span::new(start, start + text.len()));
        let mut items: Vec<Value> = lines(text).map(|(start, line)| item(line, start, &string)).collect();
        let value = match choice >= 128 && items.len() == 1 {
            true => items.remove(0),
            false => Value::new(Kind::List(items), Span::new(0, text.len())),
        };
        for (name, value) in [("name", string("n", 0)), ("kernel", string("/k", 0)), ("type", string(guest, 0))] {
            settings.store(name.to_string(), Span::default(), value, false, &mut diagnostics);
        }
        settings.store(key.to_string(), Span::default(), value, false, &mut diagnostics);
        read(&settings, &mut diagnostics, &Source::new("file", text.as_bytes()));
    }
}

fn item(line: &str, start: usize, string: &impl Fn(&str, usize) -> Value) -> Value {
    if !line.contains('|') {
        return string(line, start);
    }
    let parts = line.split('|').map(|part| string(part, start)).collect();
    Value::new(Kind::List(parts), Span::new(start, start + line.len()))
}

/// The lines with their places.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split('\n').scan(0, |next, line| {
        let start = *next;
        *next += line.len() + 1;
        Some((start, line))
    })
}

/// Reads a guest's settings, and the same settings after a way through TOML.
fn read(settings: &Settings, diagnostics: &mut Diagnostics, source: &Source) {
    if diagnostics.has_errors() {
        diagnostics.render(source);
        return;
    }
    let config = guest::from_settings(settings, &environment(), diagnostics);
    diagnostics.render(source);
    if diagnostics.has_errors() {
        return;
    }
    let toml = write::toml(settings);
    let there = again(Form::Toml, &toml);
    assert_eq!(there.1, config, "{toml}");
    let cfg = write::xl_cfg(&there.0);
    assert_eq!(again(Form::Cfg, &cfg).1, config, "{toml}\n{cfg}");
}

/// Reads a text that cannot be wrong.
fn again(form: Form, text: &str) -> (Settings, DomainConfig) {
    let source = Source::new("converted", text.as_bytes());
    let mut diagnostics = Diagnostics::new(false);
    let settings = form.parse(&source, &mut diagnostics);
    let config = guest::from_settings(&settings, &environment(), &mut diagnostics);
    assert!(!diagnostics.has_errors(), "{}\n{text}", diagnostics.render(&source));
    (settings, config)
}

fn environment() -> Environment<'static> {
    static HOST: std::sync::LazyLock<HostFacts> = std::sync::LazyLock::new(|| HostFacts::even(8, 2));
    static XL_CONF: std::sync::LazyLock<XlConf> = std::sync::LazyLock::new(XlConf::default);
    Environment {
        host: &HOST,
        xl_conf: &XL_CONF,
        firmware_dir: "/boot",
        uuid: Uuid::from_bytes([1; 16]),
        genid: MsVmGenid([2; 16]),
    }
}
