//! Configuration files without a domain: `check`, `convert`.

use crate::cli::Run;
use crate::config::diagnostic::Diagnostics;
use crate::config::form::Form;
use crate::config::load::{self, Options};
use crate::config::preflight::{self, Found, Host};
use crate::config::write;
use crate::failure::Failure;
use crate::output;
use crate::session::Session;
use clap::Args;
use libxc::host::HostCapabilities;
use libxl::Ctx;
use libxl::defaults::{FileKind, HostFacts};
use libxl::domain;
use libxl::types::DomainConfig;
use std::io;
use std::path::Path;

/// `xl check`.
#[derive(Args)]
pub(crate) struct Check {
    /// Configuration files, and settings as NAME=VALUE for all of them
    #[arg(required = true, value_name = "ConfigFile")]
    arguments: Vec<String>,
}

impl Run for Check {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let (settings, files): (Vec<String>, Vec<String>) = self.arguments.into_iter().partition(|a| a.contains('='));
        let host = load::supposed_host(true);
        let options =
            Options { host: host.as_deref(), quiet: true, strict: true, without_xen: true, ..Options::default() };
        let mut first_failure = None;
        for file in &files {
            if let Err(failure) = check(session, file, &settings, options) {
                output::complain(&failure);
                first_failure.get_or_insert(failure.status());
            }
        }
        first_failure.map_or(Ok(()), |status| Err(Failure::silent(status)))
    }
}

/// Reads one configuration and looks for what it names.
fn check(session: &Session, file: &str, settings: &[String], options: Options<'_>) -> Result<(), Failure> {
    let (file, form) = (Path::new(file), Form::of(Path::new(file)));
    let source = load::read_with_settings(file, settings)?;
    let loaded = load::guest_of(&session.ctx, &source, form, options)?;
    let problems = preflight::problems(&loaded.config, &ThisHost { session });

    // What it says once more has been told.
    let settings = form.parse(&source, &mut Diagnostics::new(false));
    let mut diagnostics = Diagnostics::new(true);
    problems.into_iter().for_each(|problem| problem.tell(&settings, &mut diagnostics));
    // With a file missing, what libxl makes of it would only say so again.
    if !diagnostics.has_errors()
        && let Err(e) = decide(&session.ctx, &loaded.config)
    {
        diagnostics.error_overall(e.to_string());
    }
    load::report(&diagnostics, &source)
}

/// Decides everything that the configuration leaves open, as `xl create` would: some settings do not go together, and
/// some `xl create` refuses.
fn decide(ctx: &Ctx, config: &DomainConfig) -> libxl::Result<()> {
    match ctx.xc() {
        Ok(_) => domain::check_configuration(ctx, ctx, config),
        Err(_) => domain::check_configuration(ctx, &AnyXen { ctx }, config),
    }
}

/// A Xen host that has whatever a configuration asks for, for checks where Xen does not run.
struct AnyXen<'c> {
    ctx: &'c Ctx,
}

impl HostFacts for AnyXen<'_> {
    fn capabilities(&self) -> libxl::Result<HostCapabilities> {
        Ok(HostCapabilities::all())
    }

    fn firmware_dir(&self) -> String {
        self.ctx.firmware_dir()
    }

    fn script_dir(&self) -> String {
        self.ctx.script_dir()
    }

    fn qemu(&self) -> String {
        self.ctx.qemu()
    }

    fn file_kind(&self, path: &str) -> io::Result<FileKind> {
        self.ctx.file_kind(path)
    }

    fn is_executable(&self, _path: &str) -> io::Result<bool> {
        Ok(true)
    }

    fn domain(&self, _name_or_number: &str) -> libxl::Result<u32> {
        Ok(0)
    }

    fn cpupool(&self, _name_or_number: &str) -> libxl::Result<Option<u32>> {
        Ok(Some(0))
    }

    fn has_cpupool(&self, _id: u32) -> libxl::Result<bool> {
        Ok(true)
    }

    fn security_id(&self, _label: &str) -> libxl::Result<Option<u32>> {
        Ok(None)
    }

    fn has_usbback(&self) -> bool {
        true
    }
}

/// The host this runs on.
struct ThisHost<'s> {
    session: &'s Session,
}

impl Host for ThisHost<'_> {
    fn find(&self, path: &Path) -> Found {
        match path.metadata() {
            Ok(found) if found.is_dir() => Found::Directory,
            // One that cannot be read is there for all that.
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Found::Nothing,
            _ => Found::File,
        }
    }

    fn has_bridge(&self, name: &str) -> Option<bool> {
        let device = Path::new("/sys/class/net").join(name);
        // Open vSwitch has its bridges elsewhere: they are network devices like others here.
        (!name.contains('/')).then(|| device.exists())
    }

    fn has_domain(&self, name: &str) -> Option<bool> {
        let found = domain::info::find(&self.session.ctx, name).ok()?;
        Some(found.is_some())
    }
}

/// `xl convert`.
#[derive(Args)]
pub(crate) struct Convert {
    /// The file; TOML if its name ends in .toml
    #[arg(value_name = "ConfigFile")]
    file: String,
    /// Where to write the other form; standard output if not given
    #[arg(value_name = "Output")]
    output: Option<String>,
}

impl Run for Convert {
    fn run(self, _session: &Session) -> Result<(), Failure> {
        let file = Path::new(&self.file);
        let source = load::read_source(file)?;
        let mut diagnostics = Diagnostics::new(false);
        let form = Form::of(file);
        let settings = form.parse(&source, &mut diagnostics);
        load::report(&diagnostics, &source)?;
        for key in write::left_out(&settings) {
            eprintln!("{}: warning: `{key}' is left out: += cannot add to a number", self.file);
        }
        let text = match form {
            Form::Cfg => write::toml(&settings),
            Form::Toml => write::xl_cfg(&settings),
        };
        match self.output {
            None => output::print(&text),
            Some(output) => std::fs::write(&output, text)
                .map_err(|e| Failure::new(1, format!("cannot write {output}: {}", libxc::reason(&e)))),
        }
    }
}
