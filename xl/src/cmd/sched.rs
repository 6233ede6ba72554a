//! Schedulers: `sched-credit`, `sched-credit2`, `sched-rtds`.

use clap::Args;

/// `xl sched-credit`.
#[derive(Args)]
pub(crate) struct Credit {
    /// Name or number of the domain to show or change
    #[arg(short, long)]
    domain: Option<String>,
    /// Its share of CPU time against the others
    #[arg(short, long)]
    weight: Option<i32>,
    /// The most it may use, in per cent of a CPU; 0 for no limit
    #[arg(short, long)]
    cap: Option<i32>,
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

/// `xl sched-credit2`.
#[derive(Args)]
pub(crate) struct Credit2 {
    /// Name or number of the domain to show or change
    #[arg(short, long)]
    domain: Option<String>,
    /// Its share of CPU time against the others
    #[arg(short, long)]
    weight: Option<i32>,
    /// The most it may use, in per cent of a CPU; 0 for no limit
    #[arg(short, long)]
    cap: Option<i32>,
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
