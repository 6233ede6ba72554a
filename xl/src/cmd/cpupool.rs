//! CPU pools: `cpupool-create`, `cpupool-list` and the rest of their family.

use crate::cli::Run;
use crate::config::cpupool as config;
use crate::config::diagnostic::Diagnostics;
use crate::config::form::Form;
use crate::config::host::HostFacts;
use crate::config::load::{self, Options};
use crate::config::source::Source;
use crate::failure::Failure;
use crate::output;
use crate::output::pools as tables;
use crate::session::Session;
use clap::Args;
use libxl::domain::{info, vcpu};
use libxl::host::cpupool::{self, Pool};
use libxl::types::{Bitmap, Scheduler};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// `xl cpupool-create`.
#[derive(Args)]
pub(crate) struct Create {
    /// Take the configuration from this file
    #[arg(short = 'f', long = "defconfig", value_name = "FILE")]
    config_file: Option<PathBuf>,
    /// Show what would be done and do nothing (the same as xl -N)
    #[arg(short = 'n', long = "dryrun")]
    dry_run: bool,
    /// The configuration file, and settings as NAME=VALUE
    arguments: Vec<String>,
}

/// A pool to create.
struct Wanted {
    name: String,
    scheduler: Scheduler,
    cpus: Bitmap,
}

impl Run for Create {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let dry_run = self.dry_run || session.globals.dry_run;
        let file = self.file()?;
        let source = self.source(file.as_deref())?;
        let wanted = wanted(&source, file.as_deref(), &Host::of(session, dry_run)?)?;
        output::print(&format!(
            "Using config file \"{}\"\ncpupool name:   {}\nscheduler:      {}\nnumber of cpus: {}\n",
            source.name(),
            wanted.name,
            wanted.scheduler,
            wanted.cpus.count()
        ))?;
        if dry_run {
            return Ok(());
        }
        Ok(cpupool::create(&session.ctx, &wanted.name, wanted.scheduler, &wanted.cpus).map(drop)?)
    }
}

impl Create {
    fn file(&self) -> Result<Option<PathBuf>, Failure> {
        let named = self.arguments.iter().filter(|a| !a.contains('=')).map(PathBuf::from);
        let mut files = self.config_file.iter().cloned().chain(named);
        match (files.next(), files.next()) {
            (_, Some(surplus)) => {
                Err(Failure::new(1, format!("one configuration file is enough: {}", surplus.display())))
            }
            (file, None) => Ok(file),
        }
    }

    fn source(&self, file: Option<&Path>) -> Result<Source, Failure> {
        let settings: Vec<_> = self.arguments.iter().filter(|a| a.contains('=')).cloned().collect();
        match file {
            Some(file) => load::read_with_settings(file, &settings).map_err(|failure| failure.with_status(1)),
            None => Ok(Source::new("command line", settings.join("\n").as_bytes())),
        }
    }
}

/// What a new pool depends on.
struct Host {
    facts: HostFacts,
    /// The CPUs in no pool.
    free_cpus: Bitmap,
    /// The names of the pools there are.
    names: Vec<String>,
    /// The scheduler that Xen started with.
    scheduler: Scheduler,
}

impl Host {
    /// This host. A dry run may suppose another one, and does so without Xen: all its CPUs are free.
    fn of(session: &Session, dry_run: bool) -> Result<Host, Failure> {
        let supposed = load::supposed_host(dry_run);
        let xen = session.ctx.xc();
        if supposed.is_some() || dry_run && xen.is_err() {
            let options = Options { host: supposed.as_deref(), without_xen: true, ..Options::default() };
            let facts = load::host_facts(&session.ctx, options)?;
            let free_cpus = Bitmap::full(facts.cpus);
            return Ok(Host { facts, free_cpus, names: vec!["Pool-0".to_string()], scheduler: Scheduler::Credit2 });
        }
        Ok(Host {
            facts: load::facts_from_xen(&session.ctx)?,
            free_cpus: cpupool::free_cpus(&session.ctx)?,
            names: cpupool::list(&session.ctx)?.into_iter().filter_map(|pool| pool.name).collect(),
            scheduler: Scheduler::from_number(xen?.scheduler().map_err(libxl::Error::from)? as i32).unwrap_or_default(),
        })
    }
}

/// The pool that a configuration describes.
fn wanted(source: &Source, file: Option<&Path>, host: &Host) -> Result<Wanted, Failure> {
    let mut diagnostics = Diagnostics::new(false);
    let settings = file.map_or(Form::Cfg, Form::of).parse(source, &mut diagnostics);
    let pool = config::read(&settings, &host.facts, &host.free_cpus, &mut diagnostics);
    load::report(&diagnostics, source).map_err(|failure| failure.with_status(1))?;
    let of_file = || Some(file?.file_name()?.to_string_lossy().into_owned());
    let name = pool.name.or_else(of_file);
    let name = name.ok_or_else(|| Failure::new(1, "the CPU pool has no name (name=)"))?;
    if host.names.contains(&name) {
        return Err(Failure::new(1, format!("there is a CPU pool \"{name}\" already")));
    }
    Ok(Wanted { name, scheduler: pool.scheduler.unwrap_or(host.scheduler), cpus: pool.cpus })
}

/// `xl cpupool-list`.
#[derive(Args)]
pub(crate) struct List {
    /// Show the CPUs of each pool
    #[arg(short, long)]
    cpus: bool,
    /// Name of the one pool to show
    pool: Option<String>,
}

impl Run for List {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let pools = cpupool::list(&session.ctx)?;
        let chosen: Vec<&Pool> = pools.iter().filter(|pool| self.pool.is_none() || pool.name == self.pool).collect();
        if let Some(name) = self.pool.as_ref().filter(|_| chosen.is_empty()) {
            return Err(Failure::new(1, format!("there is no CPU pool \"{name}\"")));
        }
        let table = if self.cpus { tables::list_cpus(chosen.into_iter()) } else { tables::list(chosen.into_iter()) };
        output::print(&table)
    }
}

/// `xl cpupool-destroy`.
#[derive(Args)]
pub(crate) struct Destroy {
    /// Name or number of the pool
    pool: String,
}

impl Run for Destroy {
    fn run(self, session: &Session) -> Result<(), Failure> {
        Ok(cpupool::destroy(&session.ctx, &cpupool::resolve(&session.ctx, &self.pool)?)?)
    }
}

/// `xl cpupool-rename`.
#[derive(Args)]
pub(crate) struct Rename {
    /// Name or number of the pool
    pool: String,
    /// Its name from now on
    new_name: String,
}

impl Run for Rename {
    fn run(self, session: &Session) -> Result<(), Failure> {
        Ok(cpupool::rename(&session.ctx, &cpupool::resolve(&session.ctx, &self.pool)?, &self.new_name)?)
    }
}

/// `xl cpupool-cpu-add`.
#[derive(Args)]
pub(crate) struct CpuAdd {
    /// Name or number of the pool
    pool: String,
    /// CPUs: a list such as 0-3,^2, or node:N
    cpus: String,
}

impl Run for CpuAdd {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let cpus = load::cpus(&load::facts_from_xen(&session.ctx)?, &self.cpus)?;
        // The CPUs that could not be moved have been told; the status is 0 as stock xl's.
        cpupool::add_cpus(&session.ctx, &cpupool::resolve(&session.ctx, &self.pool)?, &cpus)?;
        Ok(())
    }
}

/// `xl cpupool-cpu-remove`.
#[derive(Args)]
pub(crate) struct CpuRemove {
    /// Name or number of the pool
    pool: String,
    /// CPUs: a list such as 0-3,^2, or node:N
    cpus: String,
}

impl Run for CpuRemove {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let cpus = load::cpus(&load::facts_from_xen(&session.ctx)?, &self.cpus)?;
        // As in cpupool-cpu-add.
        cpupool::remove_cpus(&session.ctx, &cpupool::resolve(&session.ctx, &self.pool)?, &cpus)?;
        Ok(())
    }
}

/// `xl cpupool-migrate`.
#[derive(Args)]
pub(crate) struct Migrate {
    /// Name or number of the domain
    domain: String,
    /// Name or number of the pool
    pool: String,
}

impl Run for Migrate {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let domid = session.domain(&self.domain)?;
        Ok(cpupool::move_domain(&session.ctx, domid, &cpupool::resolve(&session.ctx, &self.pool)?)?)
    }
}

/// `xl cpupool-numa-split`.
#[derive(Args)]
pub(crate) struct NumaSplit {}

/// How often, once a second, dom0 is looked at while it gives up vCPUs.
const LOOKS: u32 = 10;

impl Run for NumaSplit {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let [first] = &cpupool::list(&session.ctx)?[..] else {
            return Err(Failure::new(1, "the host is split into CPU pools already (xl cpupool-list)"));
        };
        let nodes = load::facts_from_xen(&session.ctx)?.nodes;
        let populated: Vec<_> = nodes.iter().enumerate().filter(|(_, cpus)| !cpus.is_empty()).collect();
        let [(home, home_cpus), others @ ..] = &populated[..] else { return Ok(()) };
        cpupool::rename(&session.ctx, first, &pool_name(*home))?;
        shrink_dom0(session, home_cpus.count())?;
        let scheduler = first.scheduler().unwrap_or_default();
        for (node, cpus) in others {
            cpupool::remove_cpus(&session.ctx, first, cpus)?;
            cpupool::create(&session.ctx, &pool_name(*node), scheduler, cpus)?;
        }
        Ok(())
    }
}

fn pool_name(node: usize) -> String {
    format!("Pool-node{node}")
}

/// Brings dom0 down to so many vCPUs, so that they all fit on the CPUs of one node.
fn shrink_dom0(session: &Session, vcpus: u32) -> Result<(), Failure> {
    let dom0 = libxc::DomId(0);
    if info::get(&session.ctx, dom0)?.online_vcpus <= vcpus {
        return Ok(());
    }
    vcpu::set_online(&session.ctx, dom0, vcpus)?;
    for _ in 0..LOOKS {
        if info::get(&session.ctx, dom0)?.online_vcpus <= vcpus {
            return Ok(());
        }
        // No event tells of a vCPU that goes offline.
        std::thread::sleep(Duration::from_secs(1));
    }
    Err(Failure::new(1, format!("dom0 does not come down to {vcpus} vCPUs")))
}
