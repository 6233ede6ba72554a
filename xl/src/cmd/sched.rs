//! Schedulers: `sched-credit`, `sched-credit2`, `sched-rtds`.

use crate::cli::Run;
use crate::failure::Failure;
use crate::output::{self, pools as tables};
use crate::session::Session;
use clap::Args;
use libxc::DomId;
use libxl::domain::{info, sched};
use libxl::host::{cpupool, sched as schedulers};
use libxl::types::{DomainSchedParams, Scheduler};

/// The share of a domain under the credit schedulers.
#[derive(Args)]
struct Share {
    /// Name or number of the domain to show or change
    #[arg(short, long)]
    domain: Option<String>,
    /// Its share of CPU time against the others
    #[arg(short, long)]
    weight: Option<i32>,
    /// The most it may use, in per cent of a CPU; 0 for no limit
    #[arg(short, long)]
    cap: Option<i32>,
}

impl Share {
    /// Whether anything is said of a domain.
    fn is_of_domain(&self) -> bool {
        self.domain.is_some() || self.weight.is_some() || self.cap.is_some()
    }

    /// Changes a domain's share, or shows those there are.
    fn run(&self, session: &Session, sched: Scheduler, of_pool: Option<String>) -> Result<(), Failure> {
        let share = DomainSchedParams { sched, weight: self.weight, cap: self.cap, ..DomainSchedParams::default() };
        domains(session, sched, self.domain.as_deref(), share, of_pool)
    }
}

/// `xl sched-credit`.
#[derive(Args)]
pub(crate) struct Credit {
    #[command(flatten)]
    share: Share,
    /// Show or change the scheduler's own parameters
    #[arg(short, long)]
    schedparam: bool,
    /// Time slice in milliseconds
    #[arg(short, long = "tslice_ms", value_name = "MS")]
    tslice_ms: Option<i32>,
    /// Least time between two scheduling decisions, in microseconds
    #[arg(short, long = "ratelimit_us", value_name = "US")]
    ratelimit_us: Option<i32>,
    /// How long a vCPU counts as cache-hot, in microseconds
    #[arg(short, long = "migration_delay_us", value_name = "US")]
    migration_delay_us: Option<i32>,
    /// Only this CPU pool
    #[arg(short = 'p', long)]
    cpupool: Option<String>,
}

impl Run for Credit {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let scheduler = Scheduler::Credit;
        let of_pool = self.tslice_ms.is_some() || self.ratelimit_us.is_some() || self.migration_delay_us.is_some();
        if (self.cpupool.is_some() || self.schedparam) && self.share.is_of_domain() {
            return Err(Failure::new(1, "-p and -s are of a CPU pool: they do not go with a domain's -d, -w and -c"));
        }
        if of_pool && !self.schedparam {
            return Err(Failure::new(1, "-t, -r and -m need -s"));
        }
        if !self.schedparam {
            return self.share.run(session, scheduler, self.cpupool);
        }
        let (pool, name) = pool(session, self.cpupool.as_deref())?;
        if !of_pool {
            return output::print(&pool_line(session, scheduler, pool, &name));
        }
        let mut params = schedulers::credit(&session.ctx, pool)?;
        let set = |field: &mut u32, value: Option<i32>| match value {
            Some(value) => unsigned(value).map(|value| *field = value),
            None => Ok(()),
        };
        set(&mut params.tslice_ms, self.tslice_ms)?;
        set(&mut params.ratelimit_us, self.ratelimit_us)?;
        set(&mut params.vcpu_migr_delay_us, self.migration_delay_us)?;
        Ok(schedulers::set_credit(&session.ctx, pool, params)?)
    }
}

/// `xl sched-credit2`.
#[derive(Args)]
pub(crate) struct Credit2 {
    #[command(flatten)]
    share: Share,
    /// Show or change the scheduler's own parameters
    #[arg(short, long)]
    schedparam: bool,
    /// Least time between two scheduling decisions, in microseconds
    #[arg(short, long = "ratelimit_us", value_name = "US")]
    ratelimit_us: Option<i32>,
    /// Only this CPU pool
    #[arg(short = 'p', long)]
    cpupool: Option<String>,
}

impl Run for Credit2 {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let scheduler = Scheduler::Credit2;
        if self.cpupool.is_some() && self.share.is_of_domain() {
            return Err(Failure::new(1, "-p is of a CPU pool: it does not go with a domain's -d, -w and -c"));
        }
        if !self.schedparam {
            return self.share.run(session, scheduler, self.cpupool);
        }
        let (pool, name) = pool(session, self.cpupool.as_deref())?;
        match self.ratelimit_us {
            None => output::print(&pool_line(session, scheduler, pool, &name)),
            Some(limit) => Ok(schedulers::set_credit2_ratelimit(&session.ctx, pool, unsigned(limit)?)?),
        }
    }
}

/// `xl sched-rtds`.
#[derive(Args)]
#[command(args_override_self = false)]
pub(crate) struct Rtds {
    /// Name or number of the domain to show or change
    #[arg(short, long)]
    domain: Option<String>,
    /// A vCPU to show or change, or all; may be repeated
    #[arg(short, long, value_name = "VCPU")]
    vcpuid: Vec<String>,
    /// Period in microseconds, one for each -v
    #[arg(short, long)]
    period: Vec<i32>,
    /// Budget in microseconds, one for each -v
    #[arg(short, long)]
    budget: Vec<i32>,
    /// 1 to use idle time too, 0 not to, one for each -v
    #[arg(short, long)]
    extratime: Vec<i32>,
    /// Only this CPU pool
    #[arg(short, long)]
    cpupool: Option<String>,
}

impl Run for Rtds {
    fn run(self, session: &Session) -> Result<(), Failure> {
        if !self.vcpuid.is_empty() {
            return Err(Failure::new(1, "sched-rtds -v: this option is not built yet"));
        }
        let last = |values: &[i32]| values.last().copied();
        let share = DomainSchedParams {
            sched: Scheduler::Rtds,
            period: last(&self.period),
            budget: last(&self.budget),
            extratime: last(&self.extratime),
            ..DomainSchedParams::default()
        };
        domains(session, Scheduler::Rtds, self.domain.as_deref(), share, self.cpupool)
    }
}

/// Changes one domain's share, shows it, or shows those of all domains under this scheduler, pool by pool.
fn domains(
    session: &Session,
    scheduler: Scheduler,
    domain: Option<&str>,
    share: DomainSchedParams,
    of_pool: Option<String>,
) -> Result<(), Failure> {
    let changes = share != DomainSchedParams { sched: scheduler, ..DomainSchedParams::default() };
    match domain {
        None if changes => Err(Failure::new(1, "which domain? (-d)")),
        None => all_domains(session, scheduler, of_pool.as_deref()),
        Some(domain) if changes => Ok(sched::set(&session.ctx, session.domain(domain)?, &share)?),
        Some(domain) => {
            let domid = session.domain(domain)?;
            // The heading comes first even if there is nothing under it, as with stock xl.
            output::print(&tables::share_heading(scheduler))?;
            output::print(&shares(session, scheduler, &[domid])?)
        }
    }
}

fn all_domains(session: &Session, scheduler: Scheduler, of_pool: Option<&str>) -> Result<(), Failure> {
    let only = of_pool.map(|pool| cpupool::resolve(&session.ctx, pool)).transpose()?.map(|pool| pool.info.id);
    let domains = info::list(&session.ctx)?;
    let mut text = String::new();
    for pool in cpupool::list(&session.ctx)? {
        let id = pool.info.id;
        if pool.scheduler() != Some(scheduler) || only.is_some_and(|only| only != id) {
            continue;
        }
        text += &pool_line(session, scheduler, id, pool.name.as_deref().unwrap_or("(null)"));
        text += &tables::share_heading(scheduler);
        let members: Vec<DomId> = domains.iter().filter(|info| info.cpupool == id).map(|info| info.domid).collect();
        text += &shares(session, scheduler, &members)?;
    }
    output::print(&text)
}

/// The lines of these domains.
fn shares(session: &Session, scheduler: Scheduler, domids: &[DomId]) -> Result<String, Failure> {
    let mut text = String::new();
    for (domid, name) in domids.iter().zip(info::names(&session.ctx, domids)?) {
        let params = sched::get(&session.ctx, *domid)?;
        if params.sched != scheduler {
            let words = (params.sched.name(), scheduler.name());
            return Err(Failure::new(1, format!("domain {domid} is under the {} scheduler, not {}", words.0, words.1)));
        }
        text += &tables::share(name.as_deref().unwrap_or("(null)"), domid.0, &params);
    }
    Ok(text)
}

/// The pool of this name or number, or the first.
fn pool(session: &Session, argument: Option<&str>) -> Result<(u32, String), Failure> {
    let pool = cpupool::resolve(&session.ctx, argument.unwrap_or("0"))?;
    Ok((pool.info.id, pool.name.unwrap_or_else(|| "(null)".into())))
}

/// What a pool's scheduler is set to.
fn pool_line(session: &Session, scheduler: Scheduler, pool: u32, name: &str) -> String {
    let params = match scheduler {
        Scheduler::Credit => schedulers::credit(&session.ctx, pool).map(|p| {
            let (slice, limit, delay) = (p.tslice_ms, p.ratelimit_us, p.vcpu_migr_delay_us);
            format!("tslice={slice}ms ratelimit={limit}us migration-delay={delay}us")
        }),
        Scheduler::Credit2 => {
            schedulers::credit2_ratelimit(&session.ctx, pool).map(|limit| format!("ratelimit={limit}us"))
        }
        _ => Ok("sched=RTDS".into()),
    };
    let params = params.unwrap_or_else(|e| {
        tracing::error!("{e}");
        "[sched params unavailable]".into()
    });
    format!("Cpupool {name}: {params}\n")
}

fn unsigned(value: i32) -> Result<u32, Failure> {
    u32::try_from(value).map_err(|_| Failure::new(1, format!("{value} is less than nothing")))
}
