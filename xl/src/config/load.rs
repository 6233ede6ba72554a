//! Where configurations come from: files, standard input, the command line, the host. The only part of this folder
//! that touches the outside.

use super::cpurange;
use super::diagnostic::Diagnostics;
use super::form::Form;
use super::guest::{self, Environment};
use super::host::HostFacts;
use super::source::{Source, Span, Text};
use super::sxp;
use super::xlconf::{self, XlConf};
use crate::failure::Failure;

use libxl::Ctx;
use libxl::error::ResultExt;
use libxl::types::{Bitmap, DomainConfig, MsVmGenid, Uuid, json};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Larger files are no configurations.
const MAX_BYTES: u64 = 1 << 20;

/// The same for TOML, of which a parser keeps many times its length.
const MAX_TOML_BYTES: u64 = 256 << 10;

/// libxl's ERROR_FAIL as an exit status.
const FAILED: u8 = 3;

/// A guest's configuration, and what it was read against.
pub(crate) struct Loaded {
    /// The configuration, with the cpu masks of xl.conf if they were to be applied.
    pub(crate) config: DomainConfig,
    /// xl's own configuration.
    pub(crate) xl_conf: XlConf,
}

impl Loaded {
    /// The configuration as `xl create -n` shows it: as JSON, or as xl.conf's `output_format` has it.
    pub(crate) fn shown(&self) -> Result<String, Failure> {
        match self.xl_conf.output_sxp {
            false => Ok(json::to_string(&self.config) + "\n"),
            true => sxp::domain(None, &self.config).ok_or_else(|| Failure::new(1, NO_SXP)),
        }
    }
}

/// What is said where only JSON would do.
pub(crate) const NO_SXP: &str = "a PVH guest cannot be shown as S-expressions: output_format in xl.conf has to be json";

/// How to read a guest's configuration.
#[derive(Clone, Copy, Default)]
pub(crate) struct Options<'a> {
    /// Say nothing but errors and warnings.
    pub(crate) quiet: bool,
    /// Keys without effect are errors.
    pub(crate) strict: bool,
    /// Leave the cpu masks of xl.conf alone.
    pub(crate) ignore_masks: bool,
    /// Suppose this host; otherwise Xen is asked. If there is none, and `without_xen`, this computer is supposed.
    pub(crate) host: Option<&'a str>,
    /// Nothing is created: Xen need not be there, and what only Arm hosts have is no error.
    pub(crate) without_xen: bool,
}

/// The one configuration file of a call: what -f names goes before an argument.
pub(crate) fn file_of<'a>(named: Option<&'a str>, arguments: &'a [String]) -> Result<Option<&'a str>, Failure> {
    match (named, arguments) {
        (named, []) => Ok(named),
        (None, [file]) => Ok(Some(file)),
        (Some(named), [argument]) => {
            eprintln!("xl: warning: {argument} is not read: -f names {named}");
            Ok(Some(named))
        }
        (_, [first, second, ..]) => Err(Failure::new(2, format!("one configuration file only: {first} and {second}"))),
    }
}

/// Reads a guest's configuration: a file (`/dev/null` for none) and `key=value` settings, which go before it. What is
/// wrong with it is said on standard error.
pub(crate) fn guest(ctx: &Ctx, file: &Path, settings: &[String], options: Options<'_>) -> Result<Loaded, Failure> {
    let source = read_with_settings(file, settings)?;
    if !options.quiet {
        eprintln!("Parsing config from {}", file.display());
    }
    guest_of(ctx, &source, Form::of(file), options)
}

/// Reads a guest's configuration from what was read of its file.
pub(crate) fn guest_of(ctx: &Ctx, source: &Source, form: Form, options: Options<'_>) -> Result<Loaded, Failure> {
    let host = host_facts(ctx, options)?;
    let xl_conf = xl_conf(ctx, &host)?;
    let config = parse(ctx, source, form, &host, &xl_conf, options)?;
    match options.ignore_masks {
        true => Ok(Loaded { config, xl_conf }),
        false => masked(config, xl_conf, &host),
    }
}

/// Reads the configuration that a saved guest brings along: libxl's JSON, or the text of a file where Xen before 4.5
/// wrote it.
pub(crate) fn saved(ctx: &Ctx, text: &[u8], is_json: bool) -> Result<Loaded, Failure> {
    if !is_json {
        return guest_of(ctx, &Source::new("<saved>", text), Form::Cfg, Options::default());
    }
    let text = std::str::from_utf8(text).map_err(|_| Failure::new(1, "the saved configuration is no UTF-8"))?;
    let config = json::from_str(text).context("the saved configuration")?;
    let host = host_facts(ctx, Options::default())?;
    let xl_conf = xl_conf(ctx, &host)?;
    masked(config, xl_conf, &host)
}

/// Applies the cpu masks of xl.conf.
fn masked(mut config: DomainConfig, xl_conf: XlConf, host: &HostFacts) -> Result<Loaded, Failure> {
    match xl_conf.masks.apply(&mut config, host) {
        true => Ok(Loaded { config, xl_conf }),
        false => Err(Failure::new(1, "a vcpu has no cpu left that `cpus' and xl.conf's masks allow")),
    }
}

/// Reads the text that `xl config-update` left for a domain.
pub(crate) fn updated(ctx: &Ctx, text: &[u8]) -> Result<DomainConfig, Failure> {
    let host = host_facts(ctx, Options::default())?;
    let xl_conf = xl_conf(ctx, &host)?;
    // A guest that stock xl created for all that is not lost at its reboot.
    let options = Options { without_xen: true, ..Options::default() };
    // A command line's settings stand behind those of the file and go before them: no key is set twice by mistake.
    let mut source = Source::new("<updated>", b"");
    source.push("<updated>", text);
    parse(ctx, &source, Form::Cfg, &host, &xl_conf, options)
}

fn parse(
    ctx: &Ctx,
    source: &Source,
    form: Form,
    host: &HostFacts,
    xl_conf: &XlConf,
    options: Options<'_>,
) -> Result<DomainConfig, Failure> {
    let new = if options.without_xen { Diagnostics::new } else { Diagnostics::for_creation };
    let mut diagnostics = new(options.strict);
    let firmware = ctx.paths.firmware.to_string_lossy();
    let environment = Environment {
        host,
        xl_conf,
        firmware_dir: &firmware,
        uuid: Uuid::new_v4(),
        genid: MsVmGenid(Uuid::new_v4().into_bytes()),
    };
    let config = guest::parse(source, form, &environment, &mut diagnostics);
    report(&diagnostics, source)?;
    Ok(config)
}

/// Says on standard error what was found. A failure with its exit status if there are errors.
pub(crate) fn report(diagnostics: &Diagnostics, source: &Source) -> Result<(), Failure> {
    eprint!("{}", diagnostics.render(source));
    match u8::try_from(diagnostics.exit_status()) {
        Ok(0) => Ok(()),
        Ok(status) => Err(Failure::silent(status)),
        Err(_) => Err(Failure::silent(1)),
    }
}

/// The text of a file, and `key=value` settings after it.
pub(crate) fn read_with_settings(file: &Path, settings: &[String]) -> Result<Source, Failure> {
    let mut source = read_source(file)?;
    if !settings.is_empty() {
        source.push("command line", settings.join("\n").as_bytes());
    }
    Ok(source)
}

/// The text of a file; `-` is standard input.
pub(crate) fn read_source(file: &Path) -> Result<Source, Failure> {
    let limit = if Form::of(file) == Form::Toml { MAX_TOML_BYTES } else { MAX_BYTES };
    let mut bytes = Vec::new();
    let read = match file.to_str() {
        Some("-") => io::stdin().lock().take(limit + 1).read_to_end(&mut bytes),
        _ => File::open(file).and_then(|f| f.take(limit + 1).read_to_end(&mut bytes)),
    };
    let name = file.display();
    match read {
        Err(e) => Err(Failure::new(FAILED, format!("cannot read the configuration {name}: {}", libxc::reason(&e)))),
        Ok(_) if bytes.len() as u64 > limit => {
            Err(Failure::new(FAILED, format!("{name} is no configuration: more than {} KiB", limit >> 10)))
        }
        Ok(_) => Ok(Source::new(&name.to_string(), &bytes)),
    }
}

/// xl's own configuration, xl.conf or else xl.toml. A host may be without.
pub(crate) fn xl_conf(ctx: &Ctx, host: &HostFacts) -> Result<XlConf, Failure> {
    let mut file = ctx.paths.config.join("xl.conf");
    if !file.exists() {
        file = ctx.paths.config.join("xl.toml");
    }
    let bytes = match std::fs::read(&file) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(XlConf::default()),
        Err(e) => {
            eprintln!("xl: warning: cannot read {}: {}", file.display(), libxc::reason(&e));
            return Ok(XlConf::default());
        }
    };
    let source = Source::new(&file.display().to_string(), &bytes);
    let mut diagnostics = Diagnostics::new(false);
    let settings = Form::of(&file).parse(&source, &mut diagnostics);
    let conf = xlconf::read(&settings, host, &mut diagnostics);
    report(&diagnostics, &source)?;
    Ok(conf)
}

/// The CPUs of this host that a range on the command line names (`0-3,^2`, `all`, `nodes:1`).
pub(crate) fn cpus(host: &HostFacts, range: &str) -> Result<Bitmap, Failure> {
    let source = Source::new("command line", range.as_bytes());
    let mut diagnostics = Diagnostics::new(false);
    let cpus = cpurange::parse(Text::new(range, Span::new(0, range.len())), host, &mut diagnostics);
    report(&diagnostics, &source)?;
    cpus.ok_or_else(|| Failure::silent(1))
}

/// The host that a dry run shall suppose, as `cpus=8,nodes=2`, if the environment names one.
pub(crate) fn supposed_host(dry_run: bool) -> Option<String> {
    std::env::var("XL_DRYRUN_HOST").ok().filter(|_| dry_run)
}

/// The facts of the host that the options tell of.
pub(crate) fn host_facts(ctx: &Ctx, options: Options<'_>) -> Result<HostFacts, Failure> {
    if let Some(text) = options.host {
        return HostFacts::supposed(text)
            .ok_or_else(|| Failure::new(1, format!("`{text}' describes no host: write cpus=N,nodes=N")));
    }
    match facts_from_xen(ctx) {
        Ok(facts) => Ok(facts),
        Err(_) if options.without_xen => {
            let cpus = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
            Ok(HostFacts { is_known: false, ..HostFacts::even(cpus, 1) })
        }
        Err(e) => Err(Failure::from(e)),
    }
}

/// Asks Xen.
pub(crate) fn facts_from_xen(ctx: &Ctx) -> libxl::Result<HostFacts> {
    let xc = ctx.xc()?;
    let info = xc.physinfo()?;
    let cpus = info.max_cpu_id + 1;
    let mut nodes = vec![Bitmap::with_size(cpus); info.nr_nodes as usize];
    for (cpu, topology) in xc.cpu_topology()?.iter().enumerate() {
        let node = topology.and_then(|t| nodes.get_mut(t.node as usize));
        if let Some(node) = node {
            node.insert(cpu as u32);
        }
    }
    Ok(HostFacts { cpus, online_cpus: info.nr_cpus, nodes, is_known: true })
}
