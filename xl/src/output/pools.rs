//! CPU pools as stock xl's tables: `cpupool-list`.

use super::domains::name_or_null;
use libxl::host::cpupool::Pool;
use libxl::types::{DomainSchedParams, Scheduler};
use std::fmt::Write;

/// The table of `xl cpupool-list`.
pub(crate) fn list<'a>(pools: impl Iterator<Item = &'a Pool>) -> String {
    let mut text = format!("{:<19}CPUs   Sched     Active   Domain count\n", "Name");
    for pool in pools {
        let scheduler = pool.scheduler().unwrap_or_default();
        let (name, cpus, domains) = (name_or_null(&pool.name), pool.cpus.count(), pool.info.domains);
        let _ = writeln!(text, "{name:<19}{cpus:>3} {scheduler:>9}       y       {domains:>4}");
    }
    text
}

/// The table of `xl cpupool-list -c`.
pub(crate) fn list_cpus<'a>(pools: impl Iterator<Item = &'a Pool>) -> String {
    let mut text = format!("{:<19}CPU list\n", "Name");
    for pool in pools {
        let cpus: Vec<_> = pool.cpus.iter().map(|cpu| cpu.to_string()).collect();
        let _ = writeln!(text, "{:<19}{}", name_or_null(&pool.name), cpus.join(","));
    }
    text
}

/// The heading of the domains' shares under a scheduler.
pub(crate) fn share_heading(scheduler: Scheduler) -> String {
    match scheduler {
        Scheduler::Rtds => format!("{:<33} {:>4} {:>9} {:>9} {:>10}\n", "Name", "ID", "Period", "Budget", "Extratime"),
        _ => format!("{:<33} {:>4} {:>6} {:>4}\n", "Name", "ID", "Weight", "Cap"),
    }
}

/// A domain's share.
pub(crate) fn share(name: &str, domid: u16, params: &DomainSchedParams) -> String {
    // libxl's number for what is not known.
    let number = |value: Option<i32>| value.unwrap_or(-1);
    match params.sched {
        Scheduler::Rtds => {
            // libxl does not tell it of a whole domain, and stock xl takes its -1 for yes.
            let extra = if params.extratime == Some(0) { "no" } else { "yes" };
            let (period, budget) = (number(params.period), number(params.budget));
            format!("{name:<33} {domid:>4} {period:>9} {budget:>9} {extra:>10}\n")
        }
        _ => format!("{name:<33} {domid:>4} {:>6} {:>4}\n", number(params.weight), number(params.cap)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libxc::host::CpuPool;

    fn pool(id: u32, name: &str, scheduler: u32, domains: u32, cpus: &[u32]) -> Pool {
        let info = CpuPool { id, scheduler, domains, cpus: Vec::new() };
        Pool { info, name: Some(name.into()), cpus: cpus.iter().copied().collect() }
    }

    // The tables below were printed by stock xl 4.17.

    #[test]
    fn lists_are_stock_xls_tables() {
        let pools = [pool(0, "Pool-0", 6, 1, &[0, 1]), pool(1, "p2", 5, 0, &[])];
        assert_eq!(
            list(pools.iter()),
            "\
Name               CPUs   Sched     Active   Domain count
Pool-0               2   credit2       y          1
p2                   0    credit       y          0
"
        );
        assert_eq!(
            list_cpus(pools.iter().take(1)),
            "\
Name               CPU list
Pool-0             0,1
"
        );
    }

    #[test]
    fn shares_are_stock_xls_tables() {
        let params =
            DomainSchedParams { sched: Scheduler::Credit, weight: Some(512), cap: Some(30), ..Default::default() };
        assert_eq!(share_heading(Scheduler::Credit), "Name                                ID Weight  Cap\n");
        assert_eq!(share("guest", 1, &params), "guest                                1    512   30\n");
    }
}
