//! Configurations of CPU pools, xlcpupool.cfg(5).

use super::cpurange;
use super::diagnostic::Diagnostics;
use super::grammar::Settings;
use super::host::HostFacts;
use super::items;
use super::number;
use super::reader::Reader;
use super::source::Text;
use libxl::types::{Bitmap, Scheduler};

/// A pool to create.
#[derive(Debug, PartialEq)]
pub(crate) struct PoolConfig {
    /// Its name, if it is given.
    pub(crate) name: Option<String>,
    /// Its scheduler; the host's if none is given.
    pub(crate) scheduler: Option<Scheduler>,
    /// Its CPUs, all of them free.
    pub(crate) cpus: Bitmap,
}

/// Every key.
const KEYS: [&str; 4] = ["name", "sched", "nodes", "cpus"];

/// Reads a pool's settings. It can be created if there are no errors among the findings.
pub(crate) fn read(settings: &Settings, host: &HostFacts, free: &Bitmap, diagnostics: &mut Diagnostics) -> PoolConfig {
    let reader = &mut Reader { settings, diagnostics };
    let name = reader.string("name");
    let scheduler = reader.text("sched").and_then(|word| scheduler(word, reader.diagnostics));
    let cpus = match reader.has("nodes") {
        true => cpus_of_nodes(reader, host, free),
        false => cpus(reader, host, free),
    };
    reader.report_unused(KEYS.into_iter(), |setting| {
        let besides = setting.name == "cpus" && !setting.used.get();
        besides.then(|| "`cpus' besides `nodes'".to_string())
    });
    PoolConfig { name, scheduler, cpus }
}

fn scheduler(word: Text<'_>, diagnostics: &mut Diagnostics) -> Option<Scheduler> {
    let mut scheduler = Scheduler::default();
    items::choice(word, "scheduler", &mut scheduler, diagnostics).then_some(scheduler)
}

/// `nodes`: the free CPUs of these NUMA nodes, of which there has to be one.
fn cpus_of_nodes(reader: &mut Reader<'_>, host: &HostFacts, free: &Bitmap) -> Bitmap {
    let mut cpus = host.no_cpus();
    for text in one_or_more(reader, "nodes") {
        let node = index(text, reader.diagnostics).and_then(|node| host.nodes.get(node as usize));
        if let Some(node) = node {
            cpus = cpus.union(&node.intersection(free));
        }
    }
    if cpus.is_empty() {
        reader.diagnostics.error(reader.span("nodes"), "no CPU of these nodes is free").help("xl cpupool-list -c");
    }
    cpus
}

/// `cpus`: a range, or a list of numbers.
fn cpus(reader: &mut Reader<'_>, host: &HostFacts, free: &Bitmap) -> Bitmap {
    let mut cpus = host.no_cpus();
    if let Some(range) = reader.text_if_single("cpus") {
        cpus = cpurange::parse(range, host, reader.diagnostics).unwrap_or(cpus);
    } else if reader.has("cpus") {
        let texts = reader.texts("cpus").unwrap_or_default();
        cpus = texts.into_iter().filter_map(|text| index(text, reader.diagnostics)).collect();
    }
    if let Some(taken) = cpus.iter().find(|cpu| !free.contains(*cpu)) {
        let message = format!("CPU {taken} is in another pool, or there is none of this number");
        reader.diagnostics.error(reader.span("cpus"), message).help("xl cpupool-list -c");
    }
    cpus
}

/// A list's values, or the single one.
fn one_or_more<'a>(reader: &mut Reader<'a>, key: &str) -> Vec<Text<'a>> {
    match reader.text_if_single(key) {
        Some(text) => vec![text],
        None => reader.texts(key).unwrap_or_default(),
    }
}

/// The number of a CPU or node; more than Xen can have is none.
fn index(text: Text<'_>, diagnostics: &mut Diagnostics) -> Option<u32> {
    let number = number::whole(text.text, 10).and_then(|n| u32::try_from(n).ok()).filter(|n| *n < 1 << 16);
    if number.is_none() {
        diagnostics.error(text.span, format!("not the number of a CPU or node: `{}'", text.text));
    }
    number
}

#[cfg(test)]
mod tests {
    use super::super::form::Form;
    use super::super::source::Source;
    use super::*;

    /// Eight CPUs on two nodes; the first two CPUs are taken.
    fn pool(text: &str) -> Result<PoolConfig, String> {
        let host = HostFacts::even(8, 2);
        let free: Bitmap = (2..8).collect();
        let source = Source::new("pool", text.as_bytes());
        let mut diagnostics = Diagnostics::new(false);
        let settings = Form::Cfg.parse(&source, &mut diagnostics);
        let pool = read(&settings, &host, &free, &mut diagnostics);
        let first = diagnostics.iter().next().map(|d| d.message.clone());
        if diagnostics.has_errors() { Err(first.unwrap_or_default()) } else { Ok(pool) }
    }

    fn cpus_of(text: &str) -> Vec<u32> {
        pool(text).unwrap().cpus.iter().collect()
    }

    #[test]
    fn cpus_by_range_list_or_node() {
        assert_eq!(cpus_of("cpus=\"2-7,^3\""), [2, 4, 5, 6, 7]);
        assert_eq!(cpus_of("cpus=\"node:1,^7\""), [4, 5, 6]);
        assert_eq!(cpus_of("cpus=[\"5\", 2, \"5\"]"), [2, 5]);
        assert_eq!(cpus_of("nodes=[0, \"9\"]"), [2, 3]);
        assert_eq!(cpus_of("nodes=1"), [4, 5, 6, 7]);
        assert_eq!(cpus_of("name=\"p\""), [0; 0]);
    }

    #[test]
    fn name_and_scheduler() {
        let found = pool("name=\"p\"\nsched=\"CREDIT2\"\n").unwrap();
        assert_eq!((found.name.as_deref(), found.scheduler), (Some("p"), Some(Scheduler::Credit2)));
        assert_eq!(pool("").unwrap().scheduler, None);
    }

    #[test]
    fn says_what_is_wrong() {
        assert_eq!(pool("sched=\"fair\"").unwrap_err(), "unknown scheduler `fair'");
        assert_eq!(pool("cpus=[1, 2]").unwrap_err(), "CPU 1 is in another pool, or there is none of this number");
        assert_eq!(pool("cpus=[\"8\"]").unwrap_err(), "CPU 8 is in another pool, or there is none of this number");
        assert_eq!(pool("cpus=[\"-1\"]").unwrap_err(), "not the number of a CPU or node: `-1'");
        assert_eq!(pool("cpus=[\"4294967295\"]").unwrap_err(), "not the number of a CPU or node: `4294967295'");
        assert_eq!(pool("nodes=[7]").unwrap_err(), "no CPU of these nodes is free");
        assert_eq!(pool("cpus=\"a\"").unwrap_err(), "not a range of cpus: `a'");
    }
}
