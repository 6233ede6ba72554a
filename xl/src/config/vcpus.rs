//! vcpus: how many, where they run, and virtual NUMA nodes (xl.cfg(5), "CPU Allocation", "vNUMA").

use super::cpurange;
use super::diagnostic::Diagnostics;
use super::grammar::Value;
use super::host::HostFacts;
use super::items::decimal;
use super::keys;
use super::reader::Reader;
use super::source::Text;
use libxl::types::{Bitmap, DomainBuildInfo, VnodeInfo};

/// More vcpus than any guest of Xen can have (`MAX_VIRT_CPUS`).
const MAX_VCPUS: u32 = 8192;

/// Reads `vcpus`, `maxvcpus`, `vnuma`, `cpus` and `cpus_soft`.
pub(crate) fn read(reader: &mut Reader<'_>, build: &mut DomainBuildInfo, host: &HostFacts) {
    let vcpus = count(reader, "vcpus");
    if let Some(vcpus) = vcpus {
        build.avail_vcpus = (0..vcpus).collect();
    }
    build.max_vcpus = count(reader, "maxvcpus").unwrap_or(0);
    vnuma(reader, build, host);

    let vcpus = vcpus.unwrap_or(0);
    if build.max_vcpus == 0 {
        build.max_vcpus = vcpus;
    }
    if build.max_vcpus < vcpus {
        let message = format!("maxvcpus is {}, less than vcpus, {vcpus}", build.max_vcpus);
        reader.diagnostics.error(reader.span("maxvcpus"), message).help("raise maxvcpus, or lower vcpus");
    }

    if let Some(affinity) = affinity(reader, "cpus", build.max_vcpus, host) {
        build.vcpu_hard_affinity = affinity;
        if reader.list_if_one("cpus").is_some() {
            build.numa_placement = false.into();
        }
    }
    if let Some(affinity) = affinity(reader, "cpus_soft", build.max_vcpus, host) {
        build.vcpu_soft_affinity = affinity;
        build.numa_placement = false.into();
    }
}

fn count(reader: &mut Reader<'_>, key: &str) -> Option<u32> {
    let number = reader.number(key)?;
    let count = u32::try_from(number).ok().filter(|n| *n <= MAX_VCPUS);
    if count.is_none() {
        reader.diagnostics.error(reader.span(key), format!("{number} is no number of vcpus: 0 to {MAX_VCPUS}"));
    }
    count
}

/// The cpus of each vcpu: from a string the same for all, from a list one for each as far as it goes.
fn affinity(reader: &mut Reader<'_>, key: &str, vcpus: u32, host: &HostFacts) -> Option<Vec<Bitmap>> {
    if let Some(list) = reader.list_if_one(key) {
        let texts = reader.leading_texts(key, list);
        if let Some(first) = texts.get(vcpus as usize) {
            let message = format!("`{key}' has more items than there are vcpus, {vcpus}: this one and those after it");
            reader.diagnostics.ignored(first.span, message).help("raise maxvcpus, or shorten the list");
        }
        let mut maps: Vec<Bitmap> = texts
            .into_iter()
            .take(vcpus as usize)
            .filter_map(|text| cpurange::parse(text, host, reader.diagnostics))
            .collect();
        // An item that is no string leaves the maps of its vcpu and those after it empty.
        maps.resize(list.len().min(vcpus as usize), Bitmap::new());
        return Some(maps);
    }
    let text = reader.text(key)?;
    let map = cpurange::parse(text, host, reader.diagnostics)?;
    if vcpus == 0 && !map.is_empty() {
        reader.diagnostics.ignored(text.span, format!("`{key}' without `vcpus'")).help("write vcpus = 1");
    }
    // A map may have hundreds of bytes and a guest thousands of vcpus: still only megabytes.
    Some(vec![map; vcpus as usize])
}

/// Reads `vnuma`: a list of nodes, each a list of `"key=value"`. It decides how many vcpus and how much memory there
/// are, and must agree with `maxvcpus` and `maxmem`.
fn vnuma(reader: &mut Reader<'_>, build: &mut DomainBuildInfo, host: &HostFacts) {
    let Some(list) = reader.list_if_one("vnuma").filter(|list| !list.is_empty()) else {
        if reader.has("vnuma") {
            reader.list("vnuma");
        }
        return;
    };
    // Memory for the distances grows with the square of the nodes.
    if list.len() > host.nodes.len().max(64) {
        reader.diagnostics.error(reader.span("vnuma"), "too many virtual NUMA nodes");
        return;
    }
    let room = if build.max_vcpus > 0 { build.max_vcpus } else { host.cpus };
    let mut total = Total::default();
    for item in list {
        let node = VnodeInfo { distances: vec![0; list.len()], ..VnodeInfo::default() };
        let mut parser = NodeParser { node, total: &mut total, room, host, pinned: false };
        parser.read(item, reader.diagnostics);
        if parser.pinned {
            build.numa_placement = false.into();
        }
        build.vnuma_nodes.push(parser.node);
    }

    let span = reader.span("vnuma");
    if build.max_vcpus != 0 {
        if u64::from(build.max_vcpus) != total.vcpus {
            let message = format!("`vnuma' has {} vcpus, and maxvcpus is {}", total.vcpus, build.max_vcpus);
            reader.diagnostics.error(span, message);
        }
    } else if total.vcpus > u64::from(host.online_cpus) {
        reader
            .diagnostics
            .error(span, format!("`vnuma' has {} vcpus, more than the host's cpus", total.vcpus))
            .help("say maxvcpus= too if that is meant");
    } else {
        build.max_vcpus = total.vcpus as u32;
    }
    match build.max_memkb {
        Some(max) if max != total.memkb => {
            let message = format!("`vnuma' has {} MiB, and maxmem is {} MiB", total.memkb / 1024, max / 1024);
            reader.diagnostics.error(span, message);
        }
        _ => build.max_memkb = Some(total.memkb),
    }
}

#[derive(Default)]
struct Total {
    vcpus: u64,
    memkb: u64,
}

struct NodeParser<'p> {
    node: VnodeInfo,
    total: &'p mut Total,
    /// How many vcpus the map of a node has room for; others are only counted.
    room: u32,
    host: &'p HostFacts,
    pinned: bool,
}

impl NodeParser<'_> {
    fn read(&mut self, item: &Value, diagnostics: &mut Diagnostics) {
        let Some(options) = item.list() else {
            diagnostics
                .error(item.span, "a virtual NUMA node is a list")
                .help("vnuma = [ [ \"pnode=0\", \"size=1024\", \"vcpus=0-1\", \"vdistances=10,20\" ], ... ]");
            return;
        };
        for option in options.iter().filter_map(Value::atom) {
            let mut parts = option.tokens(&['=']).map(Text::trim);
            let (Some(key), Some(value)) = (parts.next(), parts.next()) else {
                diagnostics.error(option.span, format!("not an option of a virtual NUMA node: `{}'", option.text));
                continue;
            };
            self.option(key, value, diagnostics);
        }
    }

    fn option(&mut self, key: Text<'_>, value: Text<'_>, diagnostics: &mut Diagnostics) {
        match key.text {
            "pnode" => {
                let Some(pnode) = decimal::<u32>(value, diagnostics) else { return };
                if pnode as usize >= self.host.nodes.len() {
                    let message = format!("the host has no node {pnode}, only {}", self.host.nodes.len());
                    diagnostics.error(value.span, message);
                }
                self.node.pnode = pnode;
                self.pinned = true;
            }
            "size" => {
                let Some(size) = decimal::<u32>(value, diagnostics) else { return };
                let memkb = u64::from(size) << 10;
                self.node.memkb = Some(memkb);
                self.total.memkb += memkb;
            }
            "vcpus" => value.tokens(&[',']).for_each(|range| self.vcpus(range, diagnostics)),
            "vdistances" => self.distances(value, diagnostics),
            _ => {
                let found = diagnostics.ignored(key.span, format!("a virtual NUMA node has no option `{}'", key.text));
                found.did_you_mean(key.text, keys::VNUMA.iter().map(|(name, _)| *name));
            }
        }
    }

    fn vcpus(&mut self, range: Text<'_>, diagnostics: &mut Diagnostics) {
        match cpurange::first_to_last(range.text).filter(|(_, last)| *last < MAX_VCPUS) {
            Some((first, last)) => {
                let room = self.room.next_multiple_of(8);
                (first..=last).filter(|v| *v < room).for_each(|vcpu| self.node.vcpus.insert(vcpu));
                self.total.vcpus += u64::from(last - first + 1);
            }
            None => {
                let error = diagnostics.error(range.span, format!("not a range of vcpus: `{}'", range.text));
                error.help(format!("vcpus are numbers below {MAX_VCPUS} and ranges of them: vcpus=0,2-3"));
            }
        }
    }

    fn distances(&mut self, value: Text<'_>, diagnostics: &mut Diagnostics) {
        for (index, text) in value.tokens(&[',']).enumerate() {
            let Some(distance) = decimal(text, diagnostics) else { return };
            match self.node.distances.get_mut(index) {
                Some(place) => *place = distance,
                None => {
                    diagnostics.error(text.span, "more distances than virtual NUMA nodes");
                    return;
                }
            }
        }
    }
}
