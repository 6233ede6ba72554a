//! Domains as stock xl's tables and as JSON: `list`, `claims`, `sharing`, `vm-list`, `vcpu-list`, `uptime`.

use super::bitmap::ranges;
use libxc::domain::{DomainFlags, DomainInfo, ShutdownReason};
use libxc::{DomId, Kib};
use libxl::domain::info::Vcpu;
use libxl::types::{Bitmap, DomainConfig, Uuid};
use serde::Serialize;
use std::fmt::Write;

/// A domain and what else a table shows of it.
pub(crate) struct Domain {
    pub(crate) info: DomainInfo,
    /// Its name; none if xenstore has none for it.
    pub(crate) name: Option<String>,
    /// Its security label, where it is shown and known.
    pub(crate) label: Option<String>,
    /// The name of its CPU pool, where it is shown.
    pub(crate) pool: Option<String>,
    /// The NUMA nodes it prefers, where they are shown.
    pub(crate) nodes: Option<Bitmap>,
}

/// A domain's configuration as `list -l` shows it; without a number where it is one that a domain is to have.
#[derive(Serialize)]
pub(crate) struct Configured<'c> {
    pub(crate) domid: Option<u16>,
    pub(crate) config: &'c DomainConfig,
}

/// What `list` shows beyond the usual columns.
#[derive(Clone, Copy, Default)]
pub(crate) struct Columns {
    /// UUID, shutdown reason and security label.
    pub(crate) verbose: bool,
    /// Security label.
    pub(crate) context: bool,
    /// Memory claimed and not yet taken.
    pub(crate) claim: bool,
    /// CPU pool.
    pub(crate) cpupool: bool,
    /// Preferred nodes, of so many.
    pub(crate) nodes: Option<u32>,
}

/// The letters of the shutdown reasons, by Xen's number.
const SHUTDOWN_LETTERS: &[u8] = b"-rscwS";

/// What stands for a name that xenstore does not have: what C's printf makes of it.
pub(crate) fn name_or_null(name: &Option<String>) -> &str {
    name.as_deref().unwrap_or("(null)")
}

/// The table of `xl list`, and of `xl claims`.
pub(crate) fn list(domains: &[Domain], columns: Columns) -> String {
    let mut text = "Name                                        ID   Mem VCPUs\tState\tTime(s)".to_string();
    if columns.verbose {
        text += "   UUID                            Reason-Code\tSecurity Label";
    } else if columns.context {
        text += "   Security Label";
    }
    if columns.claim {
        text += "  Claimed";
    }
    if columns.cpupool {
        text += "         Cpupool";
    }
    if columns.nodes.is_some() {
        text += " NODE Affinity";
    }
    text.push('\n');
    for domain in domains {
        list_line(&mut text, domain, columns);
        text.push('\n');
    }
    text
}

fn list_line(text: &mut String, domain: &Domain, columns: Columns) {
    let info = &domain.info;
    let _ = write!(
        text,
        "{:<40} {:>5} {:>5} {:>5}     {}  {:>8.1}",
        name_or_null(&domain.name),
        info.domid.0,
        memory_mib(info),
        info.online_vcpus,
        state_letters(info),
        seconds(info.cpu_time),
    );
    if columns.verbose {
        let reason = info.shutdown_reason.map_or_else(|| "-".to_string(), |reason| format!("{:x}", reason.code()));
        let _ = write!(text, " {} {reason:>8}", Uuid::from_bytes(info.uuid));
    }
    if columns.claim {
        let _ = write!(text, " {:>5}", mib(info.outstanding_pages));
    }
    if columns.verbose || columns.context {
        let _ = write!(text, " {:>16}", domain.label.as_deref().unwrap_or("-"));
    }
    if columns.cpupool {
        let _ = write!(text, "{:>16}", name_or_null(&domain.pool));
    }
    if let (Some(count), Some(nodes)) = (columns.nodes, &domain.nodes) {
        let _ = write!(text, " {}", ranges(nodes, count));
    }
}

/// The table of `xl sharing`.
pub(crate) fn sharing(domains: &[Domain]) -> String {
    let mut text = "Name                                        ID   Mem Shared\n".to_string();
    for Domain { info, name, .. } in domains {
        let (memory, shared) = (memory_mib(info), mib(info.shr_pages));
        let _ = writeln!(text, "{:<40} {:>5} {memory:>5}  {shared:>5}", name_or_null(name), info.domid.0);
    }
    text
}

/// The table of `xl vm-list`.
pub(crate) fn vm_list(domains: &[Domain]) -> String {
    let mut text = "UUID                                  ID    name\n".to_string();
    for Domain { info, name, .. } in domains {
        let _ = writeln!(text, "{}  {}    {:<30}", Uuid::from_bytes(info.uuid), info.domid.0, name_or_null(name));
    }
    text
}

/// MiB of a domain's memory, with what it has claimed.
fn memory_mib(info: &DomainInfo) -> u64 {
    mib(info.tot_pages.saturating_add(info.outstanding_pages))
}

fn mib(pages: u64) -> u64 {
    Kib::from_pages(pages).0 / 1024
}

/// Seconds as stock xl computes them, in single precision, so that the last digit is the same.
fn seconds(nanoseconds: u64) -> f64 {
    f64::from(nanoseconds as f32) / 1e9
}

/// The six letters of a domain's state: `r-----`.
fn state_letters(info: &DomainInfo) -> String {
    let letter = |flag, letter| if info.flags.contains(flag) { letter } else { '-' };
    let reason = info.shutdown_reason.map_or(0, |reason| reason.code() as usize);
    [
        letter(DomainFlags::RUNNING, 'r'),
        letter(DomainFlags::BLOCKED, 'b'),
        letter(DomainFlags::PAUSED, 'p'),
        letter(DomainFlags::SHUTDOWN, 's'),
        SHUTDOWN_LETTERS.get(reason).map_or('?', |l| char::from(*l)),
        letter(DomainFlags::DYING, 'd'),
    ]
    .iter()
    .collect()
}

/// A domain's vCPUs.
pub(crate) struct DomainVcpus {
    pub(crate) domid: DomId,
    pub(crate) name: Option<String>,
    pub(crate) vcpus: Vec<Vcpu>,
}

/// The table of `xl vcpu-list` on a host with so many CPUs.
pub(crate) fn vcpu_list(domains: &[DomainVcpus], cpus: u32) -> String {
    let mut text = format!(
        "{:<32} {:>5} {:>5} {:>5} {:>5} {:>9} {}\n",
        "Name", "ID", "VCPU", "CPU", "State", "Time(s)", "Affinity (Hard / Soft)"
    );
    for domain in domains {
        for vcpu in &domain.vcpus {
            vcpu_line(&mut text, domain, vcpu, cpus);
        }
    }
    text
}

fn vcpu_line(text: &mut String, domain: &DomainVcpus, vcpu: &Vcpu, cpus: u32) {
    let _ = write!(text, "{:<32} {:>5} {:>5}", name_or_null(&domain.name), domain.domid.0, vcpu.number);
    let letter = |set, letter| if set { letter } else { '-' };
    let info = &vcpu.info;
    let _ = if info.online {
        write!(text, "{:>5} {:>3}{}- ", info.cpu, letter(info.running, 'r'), letter(info.blocked, 'b'))
    } else {
        write!(text, "{:>5} {:>3}-p ", '-', '-')
    };
    let (hard, soft) = (ranges(&vcpu.hard, cpus), ranges(&vcpu.soft, cpus));
    let _ = writeln!(text, "{:>9.1}  {hard} / {soft}", seconds(info.cpu_time));
}

/// How long a domain has been up.
#[derive(Serialize)]
pub(crate) struct Uptime {
    pub(crate) name: Option<String>,
    pub(crate) domid: u16,
    #[serde(rename = "uptime_seconds")]
    pub(crate) seconds: u64,
}

/// The table of `xl uptime`.
pub(crate) fn uptime(domains: &[Uptime]) -> String {
    let mut text = format!("{:<33} {:>4} {}\n", "Name", "ID", "Uptime");
    for Uptime { name, domid, seconds } in domains {
        let up = days_and_clock(*seconds);
        let _ = writeln!(text, "{:<33} {domid:>4} {up}:{:02}", name_or_null(name), seconds % 60);
    }
    text
}

/// The lines of `xl uptime -s` at this time of day.
pub(crate) fn uptime_short(domains: &[Uptime], now: &str) -> String {
    let mut text = String::new();
    for Uptime { name, domid, seconds } in domains {
        let _ = writeln!(text, " {now} up {}, {} ({domid})", days_and_clock(*seconds), name_or_null(name));
    }
    text
}

/// `1 day,  2:03`: days where there are some, hours and minutes.
fn days_and_clock(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60);
    match days {
        0 => format!("{hours:>2}:{minutes:02}"),
        1 => format!("1 day, {hours:>2}:{minutes:02}"),
        _ => format!("{days} days, {hours:>2}:{minutes:02}"),
    }
}

/// A domain in JSON (docs/json-output.md).
#[derive(Serialize)]
struct DomainJson<'a> {
    name: &'a Option<String>,
    domid: u16,
    uuid: Uuid,
    #[serde(rename = "type")]
    kind: &'static str,
    memory_kib: u64,
    claimed_kib: u64,
    shared_kib: u64,
    max_memory_kib: u64,
    vcpus: u32,
    state: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shutdown_reason: Option<String>,
    cpu_time_ns: u64,
    cpupool_id: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpupool: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    security_label: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_affinity: &'a Option<Bitmap>,
}

/// The array of `xl list -o json`.
pub(crate) fn list_json(domains: &[Domain]) -> impl Serialize + '_ {
    domains.iter().map(DomainJson::of).collect::<Vec<_>>()
}

impl DomainJson<'_> {
    fn of(domain: &Domain) -> DomainJson<'_> {
        let info = &domain.info;
        DomainJson {
            name: &domain.name,
            domid: info.domid.0,
            uuid: Uuid::from_bytes(info.uuid),
            kind: if info.flags.contains(DomainFlags::HVM) { "hvm" } else { "pv" },
            memory_kib: Kib::from_pages(info.tot_pages).0,
            claimed_kib: Kib::from_pages(info.outstanding_pages).0,
            shared_kib: Kib::from_pages(info.shr_pages).0,
            max_memory_kib: Kib::from_pages(info.max_pages).0,
            vcpus: info.online_vcpus,
            state: state_words(info.flags),
            shutdown_reason: info.shutdown_reason.map(reason_word),
            cpu_time_ns: info.cpu_time,
            cpupool_id: info.cpupool,
            cpupool: &domain.pool,
            security_label: &domain.label,
            node_affinity: &domain.nodes,
        }
    }
}

fn state_words(flags: DomainFlags) -> Vec<&'static str> {
    let words = [
        (DomainFlags::RUNNING, "running"),
        (DomainFlags::BLOCKED, "blocked"),
        (DomainFlags::PAUSED, "paused"),
        (DomainFlags::SHUTDOWN, "shutdown"),
        (DomainFlags::DYING, "dying"),
    ];
    words.into_iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, word)| word).collect()
}

/// libxl's name of a shutdown reason; the number of one that has none.
fn reason_word(reason: ShutdownReason) -> String {
    match libxl::types::ShutdownReason::from_number(reason.code() as i32) {
        Some(known) => known.name().to_string(),
        None => reason.code().to_string(),
    }
}

/// A domain in the array of `xl vm-list -o json`.
#[derive(Serialize)]
struct VmJson<'a> {
    uuid: Uuid,
    domid: u16,
    name: &'a Option<String>,
}

/// The array of `xl vm-list -o json`.
pub(crate) fn vm_list_json(domains: &[Domain]) -> impl Serialize + '_ {
    let mut vms = Vec::new();
    for Domain { info, name, .. } in domains {
        vms.push(VmJson { uuid: Uuid::from_bytes(info.uuid), domid: info.domid.0, name });
    }
    vms
}

/// A vCPU in the array of `xl vcpu-list -o json`.
#[derive(Serialize)]
struct VcpuJson<'a> {
    name: &'a Option<String>,
    domid: u16,
    vcpu: u32,
    online: bool,
    running: bool,
    blocked: bool,
    /// None while the vCPU is not online.
    cpu: Option<u32>,
    cpu_time_ns: u64,
    hard_affinity: Vec<u32>,
    soft_affinity: Vec<u32>,
}

/// The array of `xl vcpu-list -o json` on a host with so many CPUs.
pub(crate) fn vcpu_list_json(domains: &[DomainVcpus], cpus: u32) -> impl Serialize + '_ {
    let mut all = Vec::new();
    for domain in domains {
        for vcpu in &domain.vcpus {
            let below = |set: &Bitmap| set.iter().take_while(|cpu| *cpu < cpus).collect();
            all.push(VcpuJson {
                name: &domain.name,
                domid: domain.domid.0,
                vcpu: vcpu.number,
                online: vcpu.info.online,
                running: vcpu.info.running,
                blocked: vcpu.info.blocked,
                cpu: vcpu.info.online.then_some(vcpu.info.cpu),
                cpu_time_ns: vcpu.info.cpu_time,
                hard_affinity: below(&vcpu.hard),
                soft_affinity: below(&vcpu.soft),
            });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use libxc::Mfn;
    use libxc::domain::Emulation;
    use libxc::vcpu::VcpuInfo;

    fn domain(domid: u16, name: &str, flags: DomainFlags, mib: u64, vcpus: u32, seconds: f64) -> Domain {
        let info = DomainInfo {
            domid: DomId(domid),
            uuid: [0; 16],
            flags,
            shutdown_reason: None,
            tot_pages: mib * 256,
            max_pages: 0,
            outstanding_pages: 0,
            shr_pages: 0,
            paged_pages: 0,
            shared_info_frame: Mfn(0),
            cpu_time: (seconds * 1e9) as u64,
            online_vcpus: vcpus,
            max_vcpu_id: Some(vcpus),
            ssidref: 0,
            cpupool: 0,
            gpaddr_bits: 0,
            emulation: Emulation::empty(),
        };
        Domain { info, name: Some(name.to_string()), label: None, pool: Some("Pool-0".into()), nodes: None }
    }

    fn two() -> [Domain; 2] {
        let mut pv1 = domain(1, "pv1", DomainFlags::BLOCKED, 128, 1, 31.4);
        pv1.info.uuid = *Uuid::parse_str("2b383046-e58e-11f1-8b33-33310486262e").unwrap().as_bytes();
        [domain(0, "Domain-0", DomainFlags::RUNNING, 2048, 2, 214.9), pv1]
    }

    // The tables below were printed by stock xl 4.17.

    #[test]
    fn list_is_stock_xls_table() {
        assert_eq!(
            list(&two(), Columns::default()),
            "\
Name                                        ID   Mem VCPUs\tState\tTime(s)
Domain-0                                     0  2048     2     r-----     214.9
pv1                                          1   128     1     -b----      31.4
"
        );
    }

    #[test]
    fn verbose_list_is_stock_xls_table() {
        let columns = Columns { verbose: true, ..Columns::default() };
        assert_eq!(
            list(&two(), columns),
            "\
Name                                        ID   Mem VCPUs\tState\tTime(s)   UUID                            \
Reason-Code\tSecurity Label
Domain-0                                     0  2048     2     r-----     214.9 \
00000000-0000-0000-0000-000000000000        -                -
pv1                                          1   128     1     -b----      31.4 \
2b383046-e58e-11f1-8b33-33310486262e        -                -
"
        );
    }

    #[test]
    fn claims_and_sharing_are_stock_xls_tables() {
        let columns = Columns { claim: true, ..Columns::default() };
        assert_eq!(
            list(&two(), columns),
            "\
Name                                        ID   Mem VCPUs\tState\tTime(s)  Claimed
Domain-0                                     0  2048     2     r-----     214.9     0
pv1                                          1   128     1     -b----      31.4     0
"
        );
        assert_eq!(
            sharing(&two()),
            "\
Name                                        ID   Mem Shared
Domain-0                                     0  2048      0
pv1                                          1   128      0
"
        );
    }

    #[test]
    fn pools_nodes_and_dead_domains() {
        let mut domains = two();
        domains[1].info.flags = DomainFlags::SHUTDOWN | DomainFlags::DYING;
        domains[1].info.shutdown_reason = Some(ShutdownReason::Crash);
        domains[1].name = None;
        domains[1].nodes = Some([1].into_iter().collect());
        domains[0].nodes = Some(Bitmap::full(2));
        let columns = Columns { cpupool: true, nodes: Some(2), ..Columns::default() };
        let text = list(&domains, columns);
        assert!(text.starts_with(
            "Name                                        ID   Mem VCPUs\tState\tTime(s)         Cpupool NODE Affinity\n"
        ));
        assert!(text.contains("214.9          Pool-0 all\n"), "{text}");
        assert!(
            text.contains(
                "(null)                                       1   128     1     ---scd      31.4          Pool-0 1\n"
            ),
            "{text}"
        );

        domains[1].info.shutdown_reason = Some(ShutdownReason::Other(0xff));
        let columns = Columns { verbose: true, ..Columns::default() };
        assert!(list(&domains, columns).contains("---s?d      31.4 2b383046-e58e-11f1-8b33-33310486262e       ff "));
    }

    #[test]
    fn vm_list_is_stock_xls_table() {
        assert_eq!(
            vm_list(&two()),
            "UUID                                  ID    name\n\
             00000000-0000-0000-0000-000000000000  0    Domain-0                      \n\
             2b383046-e58e-11f1-8b33-33310486262e  1    pv1                           \n"
        );
    }

    #[test]
    fn vcpu_list_is_stock_xls_table() {
        let vcpu = |number, online, seconds: f64, hard: &[u32], soft: &[u32]| Vcpu {
            number,
            info: VcpuInfo { online, blocked: online, running: false, cpu_time: (seconds * 1e9) as u64, cpu: 1 },
            hard: hard.iter().copied().collect(),
            soft: soft.iter().copied().collect(),
        };
        let vcpus = vec![vcpu(0, true, 7.2, &[1], &[0]), vcpu(1, false, 4.1, &[0, 1], &[0, 1])];
        let domains = [DomainVcpus { domid: DomId(1), name: Some("pv1".into()), vcpus }];
        assert_eq!(
            vcpu_list(&domains, 2),
            "\
Name                                ID  VCPU   CPU State   Time(s) Affinity (Hard / Soft)
pv1                                  1     0    1   -b-       7.2  1 / 0
pv1                                  1     1    -   --p       4.1  all / all
"
        );
        let json = serde_json::to_value(vcpu_list_json(&domains, 2)).unwrap();
        assert_eq!(json[1]["cpu"], serde_json::Value::Null);
        assert_eq!(json[0]["hard_affinity"], serde_json::json!([1]));
    }

    #[test]
    fn uptime_is_stock_xls_table() {
        let up = |name: &str, domid, seconds| Uptime { name: Some(name.into()), domid, seconds };
        assert_eq!(
            uptime(&[up("Domain-0", 0, 192), up("pv1", 1, 117)]),
            "\
Name                                ID Uptime
Domain-0                             0  0:03:12
pv1                                  1  0:01:57
"
        );
        assert_eq!(uptime_short(&[up("pv1", 1, 60)], "09:42:20"), " 09:42:20 up  0:01, pv1 (1)\n");
        assert!(uptime(&[up("a", 1, 86400 + 3661)]).ends_with(" 1 day,  1:01:01\n"));
        assert!(uptime_short(&[up("a", 1, 200_000)], "09:42:20").contains("up 2 days,  7:33, a"));
    }

    #[test]
    fn json_has_numbers_and_words() {
        let mut domains = two();
        domains[1].info.flags |= DomainFlags::SHUTDOWN;
        domains[1].info.shutdown_reason = Some(ShutdownReason::SoftReset);
        let json = serde_json::to_value(list_json(&domains)).unwrap();
        assert_eq!(json[0]["memory_kib"], 2048 * 1024);
        assert_eq!(json[1]["state"], serde_json::json!(["blocked", "shutdown"]));
        assert_eq!(json[1]["shutdown_reason"], "soft_reset");
        assert!(json[0].get("shutdown_reason").is_none());
    }
}
