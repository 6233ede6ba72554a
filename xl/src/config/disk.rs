//! Disk specifications: positional `target,format,vdev,access`, `key=value`, flags and old prefixes, in any mix
//! (xl-disk-configuration(5)).

use super::arm::IS_X86;
use super::diagnostic::Diagnostics;
use super::keys;
use super::number;
use super::source::{Span, Text};
use libxl::types::{DeviceDisk, DiskBackend, DiskFormat, DiskSpecification};
use std::fmt::Display;

/// The disk that the specifications describe together: one in a file, one or more on a command line.
///
/// None, with errors, if there is no such disk.
pub(crate) fn parse(specs: &[Text<'_>], diagnostics: &mut Diagnostics) -> Option<DeviceDisk> {
    let mut parser = Parser {
        disk: DeviceDisk { readwrite: 1, ..DeviceDisk::default() },
        diagnostics,
        failed: false,
        had_prefix: false,
        grant_usage: None,
        virtio: None,
        had_access: false,
    };
    for spec in specs {
        let mut rest = *spec;
        while let Some(next) = parser.parameter(rest) {
            rest = next;
        }
        if parser.failed {
            return None;
        }
    }
    let whole = specs.first().map_or(Span::default(), |s| s.span);
    parser.finish(whole)
}

struct Parser<'d> {
    disk: DeviceDisk,
    diagnostics: &'d mut Diagnostics,
    failed: bool,
    /// An old prefix like `phy:` was there, so there is no positional format.
    had_prefix: bool,
    /// Where `grant_usage` stands.
    grant_usage: Option<Span>,
    /// Where `specification=virtio` stands.
    virtio: Option<Span>,
    had_access: bool,
}

impl Parser<'_> {
    /// Reads one parameter and gives what follows it.
    fn parameter<'a>(&mut self, rest: Text<'a>) -> Option<Text<'a>> {
        let rest = rest.from(rest.text.len() - rest.text.trim_start_matches([' ', '\t', '\n']).len());
        if rest.text.is_empty() {
            return None;
        }
        if let Some(end) = prefix_length(rest.text) {
            self.old_prefix(rest.to(end))?;
            return Some(rest.from(end + 1));
        }
        let end = rest.text.find([',', '=']).unwrap_or(rest.text.len());
        let word = rest.to(end);
        if rest.text[end..].starts_with('=') {
            return self.key_value(word, rest.from(end + 1));
        }
        if !self.flag(word) {
            self.positional(word)?;
        }
        Some(rest.from((end + 1).min(rest.text.len())))
    }

    fn error(&mut self, span: Span, message: impl Into<String>) -> &mut super::diagnostic::Diagnostic {
        self.failed = true;
        self.diagnostics.error(span, message)
    }

    /// `key=value`; the value goes up to a comma, that of `target` to the end.
    fn key_value<'a>(&mut self, key: Text<'a>, after: Text<'a>) -> Option<Text<'a>> {
        if key.text == "target" {
            let value = after.text.strip_suffix(',').unwrap_or(after.text);
            self.set_target(after.to(value.len()));
            return None;
        }
        let end = after.text.find(',').unwrap_or(after.text.len());
        let value = after.to(end);
        match key.text {
            "format" => self.set_format(value),
            "devtype" => self.set_device_type(value),
            "access" => self.set_access(value),
            "backend" => self.set_once(value, key.text, |d| &mut d.backend_domname),
            "backendtype" => self.set_backend_type(value),
            "specification" => {
                self.virtio = (value.text == "virtio").then_some(value.span);
                self.set_specification(value);
            }
            "vdev" => self.set_once(value, key.text, |d| &mut d.vdev),
            "script" => self.set_once(value, key.text, |d| &mut d.script),
            "colo-host" => self.set_once(value, key.text, |d| &mut d.colo_host),
            "colo-export" => self.set_once(value, key.text, |d| &mut d.colo_export),
            "active-disk" => self.set_once(value, key.text, |d| &mut d.active_disk),
            "hidden-disk" => self.set_once(value, key.text, |d| &mut d.hidden_disk),
            "grant_usage" => {
                self.grant_usage = Some(key.span);
                self.set_grant_usage(value);
            }
            "colo-port" => match number::leading(value.text, 10).and_then(|port| i32::try_from(port.value).ok()) {
                None | Some(0) => {
                    let message = format!("colo-port is a port number, not `{}'", value.text);
                    self.error(value.span, message).help("ports are 1 to 65535");
                }
                Some(port) => self.disk.colo_port = port,
            },
            unknown => {
                if keys::DISK.contains(&(unknown, keys::Shape::Word)) {
                    let message = format!("`{unknown}' has no value: it is a word of its own");
                    self.error(key.span, message).help(format!("write {unknown}, or leave it out"));
                    return None;
                }
                self.error(key.span, format!("a disk has no parameter `{unknown}'"))
                    .help("a target with `=' or `,' in it is written target=..., after all else")
                    .did_you_mean(unknown, keys::DISK.iter().map(|(name, _)| *name));
                return None;
            }
        }
        Some(after.from((end + 1).min(after.text.len())))
    }

    /// A word that is a parameter by itself.
    fn flag(&mut self, word: Text<'_>) -> bool {
        match word.text {
            "cdrom" => self.disk.is_cdrom = 1,
            "direct-io-safe" => self.disk.direct_io_safe = true,
            "discard" => self.disk.discard_enable = true.into(),
            "no-discard" => self.disk.discard_enable = false.into(),
            "colo" => {
                self.disk.colo_enable = true.into();
                self.diagnostics.without_effect(word.span, keys::COLO);
            }
            "no-colo" => self.disk.colo_enable = false.into(),
            "trusted" => self.disk.trusted = true.into(),
            "untrusted" => self.disk.trusted = false.into(),
            _ => return false,
        }
        true
    }

    /// A parameter known by its place among the others of this kind.
    fn positional(&mut self, word: Text<'_>) -> Option<()> {
        if self.failed {
            // What is wrong before it may have shifted the places.
        } else if self.disk.pdev_path.is_none() {
            self.set_target(word);
        } else if !self.had_prefix && self.disk.format == DiskFormat::Unknown {
            if self.disk.pdev_path.as_deref() == Some("") && word.text.contains(':') {
                self.vdev_with_type(word);
                self.disk.format = DiskFormat::Empty;
            } else {
                self.set_format(word);
            }
        } else if self.disk.vdev.is_none() {
            self.vdev_with_type(word);
        } else if !self.had_access {
            self.had_access = true;
            self.set_access(word);
        } else {
            self.error(word.span, "one parameter too many")
                .help("in order these are target, format, vdev and access; others are key=value");
            return None;
        }
        Some(())
    }

    /// `vdev` or `vdev:cdrom` or `vdev:disk`.
    fn vdev_with_type(&mut self, word: Text<'_>) {
        let Some(colon) = word.text.rfind(':') else {
            return self.set_once(word, "vdev", |d| &mut d.vdev);
        };
        self.set_once(word.to(colon), "vdev", |d| &mut d.vdev);
        self.set_device_type(word.from(colon + 1));
    }

    /// `raw:`, `phy:`, `iscsi:` and so on: from the days of xend.
    fn old_prefix(&mut self, prefix: Text<'_>) -> Option<()> {
        match prefix.text {
            "raw" | "qcow" | "qcow2" | "vhd" => self.set_format(prefix),
            "iscsi" | "nbd" | "enbd" | "drbd" => {
                let script = format!("block-{}", prefix.text);
                self.set_once(Text::new(&script, prefix.span), "script", |d| &mut d.script);
            }
            "tapdisk" | "tap" | "tap2" | "aio" | "ioemu" | "file" | "phy" => {}
            unknown => {
                self.error(prefix.span, format!("unknown prefix `{unknown}:'"))
                    .help("a target with a `:' after its first word is written target=..., after all else");
                return None;
            }
        }
        self.had_prefix = true;
        Some(())
    }

    fn set_target(&mut self, value: Text<'_>) {
        self.set_once(value, "target", |d| &mut d.pdev_path);
    }

    /// Sets text that may be given only once, unless it was empty.
    fn set_once(&mut self, value: Text<'_>, key: &str, field: fn(&mut DeviceDisk) -> &mut Option<String>) {
        let field = field(&mut self.disk);
        match field.as_deref() {
            None | Some("") => *field = Some(value.text.to_string()),
            Some(before) => {
                let message = format!("`{key}' is already `{before}'");
                self.error(value.span, message);
            }
        }
    }

    /// Sets a word out of several, which may be said again but not changed.
    fn choose<T: Copy + Default + PartialEq + Display>(
        &mut self,
        value: Text<'_>,
        what: &str,
        words: &[(&str, T)],
        help: &str,
        field: fn(&mut DeviceDisk) -> &mut T,
    ) {
        let Some((_, chosen)) = words.iter().find(|(word, _)| *word == value.text) else {
            self.error(value.span, format!("unknown {what} `{}'", value.text)).help(help);
            return;
        };
        let field = field(&mut self.disk);
        if *field != T::default() && field != chosen {
            let message = format!("the {what} is already {field}");
            self.error(value.span, message);
        } else {
            *field = *chosen;
        }
    }

    fn set_format(&mut self, value: Text<'_>) {
        use DiskFormat::{Empty, Qcow, Qcow2, Qed, Raw, Vhd};
        let words =
            [("", Raw), ("raw", Raw), ("qcow", Qcow), ("qcow2", Qcow2), ("vhd", Vhd), ("empty", Empty), ("qed", Qed)];
        let help = "in order: target,format,vdev,access; the formats are raw, qcow, qcow2, vhd, qed and empty";
        self.choose(value, "format", &words, help, |disk| &mut disk.format);
    }

    fn set_backend_type(&mut self, value: Text<'_>) {
        use DiskBackend::{Phy, Qdisk, Standalone, Tap};
        let words = [("phy", Phy), ("tap", Tap), ("qdisk", Qdisk), ("standalone", Standalone)];
        let help = "backends are phy, qdisk, tap and standalone";
        self.choose(value, "backendtype", &words, help, |disk| &mut disk.backend);
    }

    fn set_specification(&mut self, value: Text<'_>) {
        let words = [("xen", DiskSpecification::Xen), ("virtio", DiskSpecification::Virtio)];
        self.choose(value, "specification", &words, "it is xen or virtio", |disk| &mut disk.specification);
    }

    fn set_device_type(&mut self, value: Text<'_>) {
        match value.text {
            "cdrom" => self.disk.is_cdrom = 1,
            "disk" => self.disk.is_cdrom = 0,
            unknown => {
                self.error(value.span, format!("unknown type `{unknown}'")).help("a device is a disk or a cdrom");
            }
        }
    }

    fn set_access(&mut self, value: Text<'_>) {
        match value.text {
            "r" | "ro" => self.disk.readwrite = 0,
            "rw" | "w" | "" => self.disk.readwrite = 1,
            unknown => {
                self.error(value.span, format!("unknown access `{unknown}'")).help("access is r, ro, w or rw");
            }
        }
    }

    fn set_grant_usage(&mut self, value: Text<'_>) {
        match value.text {
            "0" | "1" => self.disk.grant_usage = (value.text == "1").into(),
            unknown => {
                self.error(value.span, format!("grant_usage cannot be `{unknown}'"))
                    .help("it is 1 for yes or 0 for no");
            }
        }
    }

    /// What follows from the whole, and what is missing.
    fn finish(mut self, whole: Span) -> Option<DeviceDisk> {
        let has_target = self.disk.pdev_path.as_deref().is_some_and(|path| !path.is_empty());
        if self.disk.format == DiskFormat::Unknown {
            self.disk.format = DiskFormat::Raw;
        }
        if self.disk.is_cdrom != 0 {
            self.disk.removable = 1;
            self.disk.readwrite = 0;
            if !has_target {
                self.disk.format = DiskFormat::Empty;
            }
        }
        if self.disk.vdev.is_none() {
            self.error(whole, "this disk has no vdev").help(
                "a disk is one string: \"target,format,vdev,access\" as \"/dev/vg/web,raw,xvda,rw\", or with vdev=xvda",
            );
        } else if self.disk.pdev_path.is_none() && self.disk.removable == 0 {
            self.error(whole, "this disk has no target, and it is not a cdrom")
                .help("the target is the first of target,format,vdev or target=/path");
        }
        if let Some(span) = self.virtio.filter(|_| IS_X86 && !self.failed) {
            let message = "a virtio disk is found in the device tree, which an x86 guest does not have";
            self.diagnostics.in_vain(span, message).help("without `specification=virtio' it is a PV disk");
        }
        match self.grant_usage {
            Some(span) if self.disk.specification == DiskSpecification::Virtio => {
                self.diagnostics.not_here(span, format!("`grant_usage' {}", keys::NEEDS_LATER));
            }
            Some(span) => {
                self.diagnostics.ignored(span, "`grant_usage' is for disks of specification=virtio");
            }
            None => {}
        }
        (!self.failed).then_some(self.disk)
    }
}

/// The length of an old prefix at the start of `text`, without its colon.
///
/// Known ones count whatever follows; any other word and colon only where no letter or digit follows, as `vdev:cdrom`
/// is no prefix.
pub(crate) fn prefix_length(text: &str) -> Option<usize> {
    let end = text.find(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit())?;
    if !text[end..].starts_with(':') || !text.starts_with(|c: char| c.is_ascii_lowercase()) {
        return None;
    }
    let known = [
        "raw", "qcow", "qcow2", "vhd", "iscsi", "nbd", "enbd", "drbd", "tapdisk", "tap", "tap2", "aio", "ioemu",
        "file", "phy",
    ];
    let next = text[end + 1..].chars().next();
    let word_follows = next.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    (known.contains(&&text[..end]) || !word_follows).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(spec: &str) -> Result<DeviceDisk, String> {
        let mut diagnostics = Diagnostics::new(false);
        let found = parse(&[Text::new(spec, Span::new(0, spec.len()))], &mut diagnostics);
        let first = diagnostics.iter().next().map(|d| d.message.clone());
        found.ok_or_else(|| first.unwrap_or_default())
    }

    #[test]
    fn positional_and_keys_mix() {
        let a = disk("/dev/vg/a,raw,xvda,rw").unwrap();
        let b = disk("vdev=xvda, format=raw, access=rw, target=/dev/vg/a").unwrap();
        assert_eq!(a, b);
        assert_eq!(disk("/a,,xvdb,ro,backendtype=qdisk,discard").unwrap().backend, DiskBackend::Qdisk);
        assert_eq!(disk("vdev=xvda,target=/a,b=c,").unwrap().pdev_path.unwrap(), "/a,b=c");
    }

    #[test]
    fn cdroms_may_be_empty() {
        let disk_in = disk("/x.iso,raw,hdc:cdrom,r").unwrap();
        assert_eq!((disk_in.is_cdrom, disk_in.removable, disk_in.readwrite), (1, 1, 0));
        assert_eq!(disk(",hdc:cdrom,r").unwrap().format, DiskFormat::Empty);
        assert_eq!(disk("cdrom,vdev=hdc").unwrap().format, DiskFormat::Empty);
    }

    #[test]
    fn old_prefixes() {
        assert_eq!(disk("tap:aio:/x,xvda,w").unwrap().pdev_path.unwrap(), "/x");
        assert_eq!(disk("qcow2:/x,xvda").unwrap().format, DiskFormat::Qcow2);
        assert_eq!(disk("iscsi:foo,xvda").unwrap().script.unwrap(), "block-iscsi");
        assert_eq!(disk("foo:/x,xvda").unwrap_err(), "unknown prefix `foo:'");
    }

    /// It is kept, but no virtio disk that asks for it is given to a guest.
    #[test]
    fn grants_of_virtio_disks() {
        let virtio = "/x,raw,xvda,specification=virtio,grant_usage=";
        assert_eq!(disk(&format!("{virtio}0")).unwrap().grant_usage, false.into());
        assert_eq!(disk(&format!("{virtio}1")).unwrap().grant_usage, true.into());
        assert_eq!(disk("/x,raw,xvda,grant_usage=1").unwrap().grant_usage, true.into());
        assert_eq!(disk(&format!("{virtio}yes")).unwrap_err(), "grant_usage cannot be `yes'");
        for (spec, refused) in [(format!("{virtio}1"), true), ("/x,raw,xvda,grant_usage=1".to_string(), false)] {
            let mut diagnostics = Diagnostics::for_creation(false);
            parse(&[Text::new(&spec, Span::new(0, spec.len()))], &mut diagnostics);
            let in_vain = usize::from(IS_X86 && refused);
            assert_eq!((diagnostics.has_errors(), diagnostics.iter().count()), (refused, 1 + in_vain), "{spec}");
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn no_x86_guest_finds_a_virtio_disk() {
        for (strict, spec, found) in [
            (false, "/x,raw,xvda,specification=virtio", (1, false)),
            (true, "/x,raw,xvda,specification=virtio", (1, true)),
            (true, "/x,raw,xvda,specification=xen", (0, false)),
        ] {
            let mut diagnostics = Diagnostics::new(strict);
            assert!(parse(&[Text::new(spec, Span::new(0, spec.len()))], &mut diagnostics).is_some());
            assert_eq!((diagnostics.iter().count(), diagnostics.has_errors()), found, "{spec}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        assert_eq!(disk("").unwrap_err(), "this disk has no vdev");
        assert_eq!(disk("vdev=xvda").unwrap_err(), "this disk has no target, and it is not a cdrom");
        assert_eq!(disk("/x,raw,xvda,q").unwrap_err(), "unknown access `q'");
        assert_eq!(disk("/x,raw,xvda,r,extra").unwrap_err(), "one parameter too many");
        assert_eq!(disk("format=raw,format=qcow2,vdev=a,target=/x").unwrap_err(), "the format is already raw");
        assert_eq!(disk("foo=bar,vdev=a,target=/x").unwrap_err(), "a disk has no parameter `foo'");
        assert_eq!(disk("/x,raw,xvda,script=a,script=b").unwrap_err(), "`script' is already `a'");
    }
}
