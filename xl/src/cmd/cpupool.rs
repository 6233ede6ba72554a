//! CPU pools: `cpupool-create`, `cpupool-list` and the rest of their family.

use crate::cli::Run;
use crate::config::diagnostic::Diagnostics;
use crate::config::grammar::{self, Settings};
use crate::config::host::HostFacts;
use crate::config::load;
use crate::config::source::Source;
use crate::failure::Failure;
use crate::output;
use crate::output::pools as tables;
use crate::session::Session;
use clap::Args;
use libxl::domain::{info, vcpu};
use libxl::host::cpupool::{self, Pool};
use libxl::types::{Bitmap, Scheduler};
use std::path::PathBuf;
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
        let source = self.source()?;
        let wanted = self.wanted(session, &source)?;
        output::print(&format!(
            "Using config file \"{}\"\ncpupool name:   {}\nscheduler:      {}\nnumber of cpus: {}\n",
            source.name(),
            wanted.name,
            wanted.scheduler,
            wanted.cpus.count()
        ))?;
        if self.dry_run || session.globals.dry_run {
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

    fn source(&self) -> Result<Source, Failure> {
        let settings: Vec<_> = self.arguments.iter().filter(|a| a.contains('=')).map(String::as_str).collect();
        let Some(file) = self.file()? else { return Ok(Source::new("command line", settings.join("\n").as_bytes())) };
        let mut source = load::read_source(&file).map_err(|failure| failure.with_status(1))?;
        source.push("command line", settings.join("\n").as_bytes());
        Ok(source)
    }

    fn wanted(&self, session: &Session, source: &Source) -> Result<Wanted, Failure> {
        let mut diagnostics = Diagnostics::new(false);
        let settings = grammar::parse(source, &mut diagnostics);
        load::report(&diagnostics, source).map_err(|failure| failure.with_status(1))?;
        let name = self.name(&settings)?;
        if cpupool::find(&session.ctx, &name)?.is_some() {
            return Err(Failure::new(1, format!("there is a CPU pool \"{name}\" already")));
        }
        let scheduler = match text(&settings, "sched") {
            Some(word) => word.parse().map_err(|e| Failure::new(1, format!("sched: {e}")))?,
            None => host_scheduler(session)?,
        };
        let cpus = wanted_cpus(&settings, &load::facts_from_xen(&session.ctx)?, &cpupool::free_cpus(&session.ctx)?)?;
        Ok(Wanted { name, scheduler, cpus })
    }

    fn name(&self, settings: &Settings) -> Result<String, Failure> {
        let of_file = |file: PathBuf| file.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = text(settings, "name").or(self.file()?.and_then(of_file));
        name.ok_or_else(|| Failure::new(1, "the CPU pool has no name (name=)"))
    }
}

/// The single value of a key.
fn text(settings: &Settings, key: &str) -> Option<String> {
    Some(settings.get(key)?.value.atom()?.text.to_string())
}

/// The values of a key that is a list.
fn texts(settings: &Settings, key: &str) -> Option<Vec<String>> {
    let items = settings.get(key)?.value.list()?;
    Some(items.iter().filter_map(|item| Some(item.atom()?.text.to_string())).collect())
}

fn host_scheduler(session: &Session) -> libxl::Result<Scheduler> {
    Ok(Scheduler::from_number(session.ctx.xc()?.scheduler()? as i32).unwrap_or_default())
}

/// The CPUs that `nodes=` or `cpus=` ask for, all of them free; none without either.
fn wanted_cpus(settings: &Settings, host: &HostFacts, free: &Bitmap) -> Result<Bitmap, Failure> {
    if let Some(nodes) = texts(settings, "nodes") {
        let on_nodes = nodes.iter().filter_map(|node| host.nodes.get(node.parse::<usize>().ok()?));
        let cpus = on_nodes.fold(host.no_cpus(), |cpus, node| cpus.union(node)).intersection(free);
        return if cpus.is_empty() { Err(Failure::new(1, "no free CPU on these nodes")) } else { Ok(cpus) };
    }
    let number =
        |text: &String| text.parse::<u32>().map_err(|_| Failure::new(1, format!("cpus: \"{text}\" is no CPU")));
    let cpus = match (texts(settings, "cpus"), text(settings, "cpus")) {
        (Some(numbers), _) => numbers.iter().map(number).collect::<Result<Bitmap, _>>()?,
        (None, Some(range)) => load::cpus(host, &range)?,
        (None, None) => host.no_cpus(),
    };
    let taken = cpus.iter().find(|cpu| !free.contains(*cpu));
    match taken {
        Some(cpu) => Err(Failure::new(1, format!("CPU {cpu} is in another pool, or is none (xl cpupool-list -c)"))),
        None => Ok(cpus),
    }
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
