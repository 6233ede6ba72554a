//! Sets of host cpus: `0-3,^2,nodes:1,all` (xl.cfg(5), `cpus`; also xl.conf's masks, `xl vcpu-pin`, cpupools).

use super::diagnostic::Diagnostics;
use super::host::HostFacts;
use super::number;
use super::source::Text;
use libxl::types::Bitmap;

/// The set that a range describes. Each part adds to what the parts before it made, or with `^` takes away.
///
/// Cpus and nodes that the host does not have are left out, as stock xl does. None, with an error, if the range
/// cannot be read.
pub(crate) fn parse(range: Text<'_>, host: &HostFacts, diagnostics: &mut Diagnostics) -> Option<Bitmap> {
    let mut cpus = host.no_cpus();
    range.tokens(&[',']).try_for_each(|part| apply(part, &mut cpus, host, diagnostics)).map(|()| cpus)
}

fn apply(part: Text<'_>, cpus: &mut Bitmap, host: &HostFacts, diagnostics: &mut Diagnostics) -> Option<()> {
    let (take_away, what) = match part.strip_prefix("^") {
        Some(rest) => (true, rest),
        None => (false, part),
    };
    let nodes = what.strip_prefix("nodes:").or_else(|| what.strip_prefix("node:"));
    let numbers = nodes.unwrap_or(what);
    if numbers.text == "all" {
        if take_away {
            diagnostics.error(part.span, "`^' cannot be combined with `all'");
            return None;
        }
        *cpus = Bitmap::full(cpus.size());
        return Some(());
    }
    let Some((first, last)) = first_to_last(numbers.text) else {
        diagnostics
            .error(part.span, format!("not a range of cpus: `{}'", part.text))
            .help("a range is N, N-M, all or nodes:N; ^ before it takes it away; a comma adds another");
        return None;
    };
    let size = cpus.size();
    let (there, what) = match nodes {
        Some(_) => (host.nodes.len() as u32, "nodes"),
        None => (host.cpus, "cpus"),
    };
    if last >= there && !take_away && host.is_known {
        let found =
            diagnostics.ignored(part.span, format!("`{}' goes beyond the {there} {what} of this host", part.text));
        found.help(format!("the {what} are numbered from 0 to {}", there.saturating_sub(1)));
    }
    let end = last.saturating_add(1).min(if nodes.is_some() { there } else { size });
    for number in first..end {
        let meant = match nodes {
            Some(_) => host.nodes[number as usize].iter().collect(),
            None => vec![number],
        };
        for cpu in meant.into_iter().filter(|&cpu| cpu < size) {
            if take_away { cpus.remove(cpu) } else { cpus.insert(cpu) }
        }
    }
    Some(())
}

/// `N` or `N-M`, decimal and of 32 bits: the first and the last number of it.
pub(crate) fn first_to_last(text: &str) -> Option<(u32, u32)> {
    let first = number::leading(text, 10)?;
    let (last, rest) = match first.rest.strip_prefix('-') {
        Some(rest) => number::leading(rest, 10).map(|n| (n.value, n.rest))?,
        None => (first.value, first.rest),
    };
    let (first, last) = (u32::try_from(first.value).ok()?, u32::try_from(last).ok()?);
    (rest.is_empty() && first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::super::source::Span;
    use super::*;

    fn cpus(range: &str) -> Option<Vec<u32>> {
        let mut diagnostics = Diagnostics::new(false);
        let found = parse(Text::new(range, Span::new(0, range.len())), &HostFacts::even(4, 2), &mut diagnostics);
        assert_eq!(found.is_none(), diagnostics.has_errors(), "{range}");
        found.map(|f| f.iter().collect())
    }

    #[test]
    fn adds_and_takes_away_in_order() {
        assert_eq!(cpus("1-3,^2"), Some(vec![1, 3]));
        assert_eq!(cpus("^2,1-3"), Some(vec![1, 2, 3]));
        assert_eq!(cpus("nodes:1,^3"), Some(vec![2]));
        assert_eq!(cpus("node:0"), Some(vec![0, 1]));
        assert_eq!(cpus(""), Some(vec![]));
    }

    #[test]
    fn all_fills_the_bytes_of_the_map_as_libxl_does() {
        assert_eq!(cpus("all"), Some((0..8).collect()));
        assert_eq!(cpus("nodes:all"), Some((0..8).collect()));
        assert_eq!(cpus("^all"), None);
    }

    #[test]
    fn what_the_host_lacks_is_left_out() {
        assert_eq!(cpus("2-4000000000"), Some(vec![2, 3, 4, 5, 6, 7]));
        assert_eq!(cpus("nodes:1-4000000000"), Some(vec![2, 3]));
    }

    #[test]
    fn refuses_junk() {
        for range in ["x", "3-1", "1-", "-1", "1 2", "1x", "nodes:", "^", "4294967296"] {
            assert_eq!(cpus(range), None, "{range}");
        }
    }
}
