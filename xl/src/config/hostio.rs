//! Resources of the host that a guest may use directly: `ioports`, `irqs`, `iomem` (xl.cfg(5)).

use super::diagnostic::Diagnostics;
use super::number;
use super::reader::Reader;
use super::source::Text;
use libxl::types::{DomainBuildInfo, IomemRange, IoportRange};

/// Reads all three.
pub(crate) fn read(reader: &mut Reader<'_>, build: &mut DomainBuildInfo) {
    build.ioports = reader.each("ioports", ioports);
    build.irqs = reader.each("irqs", irq);
    build.iomem = reader.each("iomem", iomem);
}

/// `first` or `first-last`, hexadecimal.
fn ioports(text: Text<'_>, diagnostics: &mut Diagnostics) -> Option<IoportRange> {
    const HELP: &str = "a range of ports is FIRST or FIRST-LAST, in hex";
    let Some(first) = number::leading(text.text, 16) else {
        diagnostics.error(text.span, format!("no I/O port: `{}'", text.text)).help(HELP);
        return None;
    };
    let last = match first.rest.strip_prefix('-') {
        Some(rest) => number::leading(rest, 16),
        None => Some(first),
    };
    let Some(last) = last.filter(|l| first.rest.is_empty() || l.rest.is_empty() || !first.rest.starts_with('-')) else {
        diagnostics.error(text.span, format!("no range of I/O ports: `{}'", text.text)).help(HELP);
        return None;
    };
    if !first.rest.is_empty() && !first.rest.starts_with('-') {
        diagnostics.ignored(text.span, format!("`{}' after the I/O port", first.rest)).help(HELP);
    }
    let limits = 0..i128::from(u32::MAX);
    if !limits.contains(&first.value) || !limits.contains(&last.value) || last.value < first.value {
        diagnostics.error(text.span, format!("no range of I/O ports: `{}'", text.text)).help(HELP);
        return None;
    }
    Some(IoportRange { first: first.value as u32, number: (last.value - first.value + 1) as u32 })
}

/// A decimal number.
fn irq(text: Text<'_>, diagnostics: &mut Diagnostics) -> Option<u32> {
    let irq = number::whole(text.text, 10).and_then(|n| u32::try_from(n).ok()).filter(|n| *n < u32::MAX);
    if irq.is_none() {
        diagnostics.error(text.span, format!("no interrupt: `{}'", text.text)).help("an interrupt is a decimal number");
    }
    irq
}

/// `start,number[@gfn]`, page frames, hexadecimal.
fn iomem(text: Text<'_>, diagnostics: &mut Diagnostics) -> Option<IomemRange> {
    let range = frames(text.text);
    if range.is_none() {
        diagnostics
            .error(text.span, format!("no range of I/O memory: `{}'", text.text))
            .help("a range is START,NUMBER or START,NUMBER@GFN: page frames, in hex");
    }
    range
}

fn frames(text: &str) -> Option<IomemRange> {
    let start = number::leading(text, 16)?;
    let count = number::leading(start.rest.strip_prefix(',')?, 16)?;
    let gfn = match count.rest {
        "" => None,
        rest => Some(number::whole(rest.strip_prefix('@')?, 16)?),
    };
    Some(IomemRange {
        start: u64::try_from(start.value).ok()?,
        number: u64::try_from(count.value).ok()?,
        gfn: gfn.map(u64::try_from).transpose().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_one<T>(parse: fn(Text<'_>, &mut Diagnostics) -> Option<T>, text: &str) -> Option<T> {
        let mut diagnostics = Diagnostics::new(false);
        let found = parse(Text::new(text, Default::default()), &mut diagnostics);
        assert_eq!(found.is_none(), diagnostics.has_errors(), "{text}");
        found
    }

    #[test]
    fn io_ports() {
        assert_eq!(read_one(ioports, "3f8-3ff"), Some(IoportRange { first: 0x3f8, number: 8 }));
        assert_eq!(read_one(ioports, "3f8"), Some(IoportRange { first: 0x3f8, number: 1 }));
        assert_eq!(read_one(ioports, "1x"), Some(IoportRange { first: 1, number: 1 }));
        for bad in ["", "zz", "3f8-", "100000000", "10-8", "1-2x", "-1", "0-ffffffff"] {
            assert_eq!(read_one(ioports, bad), None, "{bad}");
        }
    }

    #[test]
    fn interrupts() {
        assert_eq!(read_one(irq, "5"), Some(5));
        for bad in ["5x", "99999999999", "", "-1", "0x5"] {
            assert_eq!(read_one(irq, bad), None, "{bad}");
        }
    }

    #[test]
    fn io_memory() {
        let range = |gfn| IomemRange { start: 0xfe000, number: 1, gfn };
        assert_eq!(read_one(iomem, "fe000,1"), Some(range(None)));
        assert_eq!(read_one(iomem, "0xfe000,0x1@10"), Some(range(Some(0x10))));
        for bad in ["fe000", "fe000,1@", "fe000,1x", ",1", "-1,1"] {
            assert_eq!(read_one(iomem, bad), None, "{bad}");
        }
    }
}
