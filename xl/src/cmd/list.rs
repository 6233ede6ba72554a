//! Domains as tables: `list`, `vm-list`, `uptime`, `claims`, `sharing`.

use crate::cli::Run;
use crate::config::{load, sxp};
use crate::failure::Failure;
use crate::output::domains::{self as tables, Columns, Domain};
use crate::output::{self, Format};
use crate::session::Session;
use clap::Args;
use libxc::DomId;
use libxc::domain::DomainInfo;
use libxl::domain::{configuration, info};
use libxl::host::cpupool;
use libxl::types::{Bitmap, DomainConfig, Uuid, json};
use nix::time::{ClockId, clock_gettime};
use std::collections::HashMap;

/// `xl list`.
#[derive(Args)]
pub(crate) struct List {
    /// Show each domain's whole configuration, as JSON
    #[arg(short, long)]
    long: bool,
    /// Add UUID, shutdown reason and security label
    #[arg(short, long)]
    verbose: bool,
    /// Add the security label
    #[arg(short = 'Z', long)]
    context: bool,
    /// Add the CPU pool
    #[arg(short, long)]
    cpupool: bool,
    /// Add the NUMA nodes the domain prefers
    #[arg(short, long)]
    numa: bool,
    #[command(flatten)]
    output: Format,
    /// Name, number or UUID of the one domain to show
    domain: Option<String>,
}

impl Run for List {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let chosen = chosen_or_all(session, self.domain.as_deref())?;
        if self.long {
            return self.configurations(session, &chosen);
        }
        let mut domains = with_names(session, chosen)?;
        let mut columns = Columns { verbose: self.verbose, context: self.context, ..Columns::default() };
        if self.cpupool {
            columns.cpupool = true;
            add_pools(session, &mut domains)?;
        }
        if self.verbose || self.context {
            add_labels(session, &mut domains);
        }
        if self.numa {
            columns.nodes = Some(session.ctx.xc().and_then(|xc| Ok(xc.physinfo()?))?.nr_nodes);
            add_nodes(session, &mut domains)?;
        }
        match self.output.is_json() {
            true => output::print_json(&tables::list_json(&domains)),
            false => output::print(&tables::list(&domains, columns)),
        }
    }
}

impl List {
    /// Shows whole configurations, as JSON or as xl.conf's `output_format` has it. A domain without one is left out.
    fn configurations(&self, session: &Session, chosen: &[DomainInfo]) -> Result<(), Failure> {
        let ctx = &session.ctx;
        let xl_conf = load::xl_conf(ctx, &load::facts_from_xen(ctx)?)?;
        let known = chosen.iter().filter_map(|info| match configuration::current(ctx, info.domid) {
            Ok(config) => Some((info, config)),
            Err(e) => {
                tracing::error!("{e}");
                None
            }
        });
        let known: Vec<_> = known.collect();
        if xl_conf.output_sxp && !self.output.is_json() {
            let sxp = |(info, config): &(&DomainInfo, DomainConfig)| {
                let running = Some((info.domid.0, Uuid::from_bytes(info.uuid)));
                sxp::domain(running, config).ok_or_else(|| Failure::new(1, load::NO_SXP))
            };
            return output::print(&known.iter().map(sxp).collect::<Result<String, _>>()?);
        }
        let all: Vec<_> =
            known.iter().map(|(info, config)| tables::Configured { domid: Some(info.domid.0), config }).collect();
        // libxl's JSON ends with a newline, and stock xl adds one.
        output::print(&(json::to_string(&all) + "\n\n"))
    }
}

/// `xl vm-list`.
#[derive(Args)]
pub(crate) struct VmList {
    #[command(flatten)]
    output: Format,
}

impl Run for VmList {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let domains = with_names(session, no_stub_domains(session)?)?;
        match self.output.is_json() {
            true => output::print_json(&tables::vm_list_json(&domains)),
            false => output::print(&tables::vm_list(&domains)),
        }
    }
}

/// `xl claims`.
#[derive(Args)]
pub(crate) struct Claims {}

impl Run for Claims {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let domains = with_names(session, info::list(&session.ctx)?)?;
        output::print(&tables::list(&domains, Columns { claim: true, ..Columns::default() }))
    }
}

/// `xl sharing`.
#[derive(Args)]
pub(crate) struct Sharing {
    /// Name or number of the one domain to show
    domain: Option<String>,
}

impl Run for Sharing {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let domains = with_names(session, chosen_or_all(session, self.domain.as_deref())?)?;
        output::print(&tables::sharing(&domains))
    }
}

/// `xl uptime`.
#[derive(Args)]
pub(crate) struct Uptime {
    /// Short form, with the time of day
    #[arg(short)]
    short: bool,
    #[command(flatten)]
    output: Format,
    /// Names or numbers of the domains to show
    domains: Vec<String>,
}

impl Run for Uptime {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let domids = match self.domains.is_empty() {
            true => no_stub_domains(session)?.iter().map(|info| info.domid).collect(),
            false => self.domains.iter().map(|d| session.domain(d)).collect::<Result<Vec<_>, _>>()?,
        };
        let uptimes = uptimes(session, &domids)?;
        if self.output.is_json() {
            return output::print_json(&uptimes);
        }
        match self.short {
            true => output::print(&tables::uptime_short(&uptimes, &time_of_day())),
            false => output::print(&tables::uptime(&uptimes)),
        }
    }
}

/// The domain that the argument names, or all.
fn chosen_or_all(session: &Session, argument: Option<&str>) -> Result<Vec<DomainInfo>, Failure> {
    match argument {
        None => Ok(info::list(&session.ctx)?),
        Some(argument) => Ok(vec![info::get(&session.ctx, session.domain(argument)?)?]),
    }
}

/// All domains but those that only run another's device model.
fn no_stub_domains(session: &Session) -> Result<Vec<DomainInfo>, Failure> {
    let all = info::list(&session.ctx)?;
    let domids: Vec<_> = all.iter().map(|info| info.domid).collect();
    let stubs = info::are_stub_domains(&session.ctx, &domids)?;
    Ok(all.into_iter().zip(stubs).filter(|(_, stub)| !stub).map(|(info, _)| info).collect())
}

fn with_names(session: &Session, infos: Vec<DomainInfo>) -> Result<Vec<Domain>, Failure> {
    let domids: Vec<_> = infos.iter().map(|info| info.domid).collect();
    let names = info::names(&session.ctx, &domids)?;
    let domain = |(info, name)| Domain { info, name, label: None, pool: None, nodes: None };
    Ok(infos.into_iter().zip(names).map(domain).collect())
}

fn add_pools(session: &Session, domains: &mut [Domain]) -> Result<(), Failure> {
    let mut ids: Vec<u32> = domains.iter().map(|domain| domain.info.cpupool).collect();
    ids.sort_unstable();
    ids.dedup();
    let names: HashMap<_, _> = ids.iter().zip(cpupool::names(&session.ctx, &ids)?).collect();
    for domain in domains {
        domain.pool = names.get(&domain.info.cpupool).cloned().flatten();
    }
    Ok(())
}

/// Adds security labels, where Xen has them: without Flask it has none.
fn add_labels(session: &Session, domains: &mut [Domain]) {
    for domain in domains {
        let label = session.ctx.xc().and_then(|xc| Ok(xc.security_label(domain.info.ssidref)?));
        domain.label = label.unwrap_or_else(|e| {
            tracing::warn!("the security label of domain {}: {e}", domain.info.domid);
            None
        });
    }
}

fn add_nodes(session: &Session, domains: &mut [Domain]) -> Result<(), Failure> {
    for domain in domains {
        let nodes = session.ctx.xc()?.node_affinity(domain.info.domid).map_err(libxl::Error::from)?;
        domain.nodes = Some(Bitmap::from_bytes(nodes));
    }
    Ok(())
}

/// How long these domains have been up; those of which nobody wrote down the start are left out.
fn uptimes(session: &Session, domids: &[DomId]) -> Result<Vec<tables::Uptime>, Failure> {
    let now = clock_gettime(ClockId::CLOCK_REALTIME).map_err(libxl::Error::from)?.tv_sec() as u64;
    let names = info::names(&session.ctx, domids)?;
    let starts = info::start_times(&session.ctx, domids)?;
    let mut uptimes = Vec::new();
    for ((domid, name), start) in domids.iter().zip(names).zip(starts) {
        let seconds = match domid.0 {
            0 => Some(kernel_uptime()?),
            _ => start.map(|start| now.saturating_sub(start)),
        };
        match seconds {
            Some(seconds) => uptimes.push(tables::Uptime { name, domid: domid.0, seconds }),
            None => tracing::warn!("domain {domid}: xenstore does not tell when it was started"),
        }
    }
    Ok(uptimes)
}

/// How long this kernel, dom0's, has been up.
fn kernel_uptime() -> Result<u64, Failure> {
    let unreadable = |why: String| Failure::new(255, format!("dom0's uptime: /proc/uptime: {why}"));
    let text = std::fs::read_to_string("/proc/uptime").map_err(|e| unreadable(e.to_string()))?;
    text.split('.').next().and_then(|seconds| seconds.parse().ok()).ok_or_else(|| unreadable("no number".into()))
}

/// The time of day, in the host's time zone: `09:42:20`.
fn time_of_day() -> String {
    jiff::Zoned::now().strftime("%H:%M:%S").to_string()
}
