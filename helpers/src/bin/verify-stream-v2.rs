//! `verify-stream-v2`: says whether a saved or migrated guest's stream keeps to its format.
//!
//! The command line and the exit status are those of stock Xen's tool: 0 a good stream, 1 a bad one,
//! 2 a wrong call.

use clap::Parser;
use helpers::inherited;
use helpers::log::Log;
use helpers::walk::{Body, Format, LibxlBody, Part, walk};
use libxc::stream::pv::PvInfo;
use libxc::stream::{GuestKind, RecordType};
use libxl::stream::emulator::EmulatorId;
use std::process::ExitCode;

/// Verify a stream according to the v2 (or later) spec
#[derive(Parser)]
#[command(name = "verify-stream-v2", version)]
struct Options {
    /// Stream to verify (defaults to stdin)
    #[arg(short, long = "in", value_name = "FD or FILE", default_value = "0")]
    input: String,
    /// Summarise stream contents
    #[arg(short, long)]
    verbose: bool,
    /// Suppress all logging/errors
    #[arg(short, long)]
    quiet: bool,
    /// Format of the incoming stream
    #[arg(short, long, value_enum, default_value = "libxc")]
    format: Format,
    /// Log to syslog instead of stdout
    #[arg(long)]
    syslog: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let log = Log::new("verify-stream-v2", options.syslog);
    let mut summary = Summary { pages: 0 };
    let result = inherited::open(&options.input).map_err(Into::into).and_then(|input| {
        walk(input, options.format, &mut |_, part| {
            if options.verbose && !options.quiet {
                summary.lines(&part).iter().for_each(|line| log.info(line));
            }
            Ok(())
        })
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            if !options.quiet {
                log.error(&format!("{}: {e}", options.input));
            }
            ExitCode::FAILURE
        }
    }
}

/// Tells what is in a stream, line by line, in stock's words; runs of pages as one line.
struct Summary {
    pages: usize,
}

impl Summary {
    fn lines(&mut self, part: &Part<'_>) -> Vec<String> {
        if let Part::Record(RecordType::PageData, ..) = part {
            self.pages += 1;
            return Vec::new();
        }
        let mut out = Vec::new();
        if self.pages > 0 && matches!(part, Part::Record(..)) {
            out.push(format!("Squashed {} Page Data records together", std::mem::take(&mut self.pages)));
        }
        match part {
            Part::SaveFile(..) => out.push("Processed xl header".into()),
            Part::Libxl(header) => {
                let converted = if header.converted { ", legacy converted" } else { "" };
                out.push(format!("Libxl Header: little endian{converted}"));
            }
            Part::LibxlRecord(header, body) => {
                out.push(format!("Libxl Record: {}, length {}", spoken(header.kind.name()), header.length));
                libxl_body(body, &mut out);
            }
            Part::Image(header) => {
                out.push(format!("Libxc Image Header: Version {}, little endian", header.version));
            }
            Part::Domain(header) => {
                let kind = match header.kind {
                    GuestKind::Pv => "x86 PV",
                    GuestKind::Hvm => "x86 HVM",
                };
                out.push(match header.xen_major {
                    0 => format!("Domain Header: legacy converted {kind}"),
                    major => format!("Domain Header: {kind} from Xen {major}.{}", header.xen_minor),
                });
            }
            Part::Record(kind, length, body) => {
                out.push(format!("Libxc Record: {}, length {length}", spoken(kind.name())));
                libxc_body(*kind, body, &mut out);
            }
        }
        out
    }
}

fn libxl_body(body: &LibxlBody<'_>, out: &mut Vec<String>) {
    let name = |id| match id {
        EmulatorId::Unknown => "Unknown",
        EmulatorId::QemuTraditional => "Qemu Traditional",
        EmulatorId::QemuUpstream => "Qemu Upstream",
    };
    match body {
        LibxlBody::XenstoreData(emulator, pairs) => {
            out.push(format!("Emulator Xenstore Data ({}, idx {})", name(emulator.id), emulator.index));
            for (key, value) in pairs {
                out.push(format!("  '{}' = '{}'", String::from_utf8_lossy(key), String::from_utf8_lossy(value)));
            }
        }
        LibxlBody::EmulatorContext(emulator) => {
            out.push(format!("  Index {}, type {}", emulator.index, name(emulator.id)));
        }
        LibxlBody::Empty | LibxlBody::CheckpointState(_) => {}
    }
}

fn libxc_body(kind: RecordType, body: &Body<'_>, out: &mut Vec<String>) {
    match body {
        Body::PvInfo(PvInfo::Bits32) => out.push("  32bit guest, 3 levels of pagetables".into()),
        Body::PvInfo(PvInfo::Bits64) => out.push("  64bit guest, 4 levels of pagetables".into()),
        Body::P2mFrames(p2m) => out.push(format!("  Start pfn 0x{:x}, End 0x{:x}", p2m.start_pfn, p2m.end_pfn)),
        Body::Vcpu(vcpu) => {
            let part = kind.name().trim_start_matches("X86_PV_VCPU_").to_lowercase();
            if vcpu.state.is_empty() {
                out.push(format!("Warning: X86_PV_VCPU_{part} record with zero content"));
            }
            out.push(format!("  vcpu{} {part} context, {} bytes", vcpu.vcpu, vcpu.state.len()));
        }
        Body::Tsc(tsc) => {
            out.push(format!("  Mode {}, {} kHz, {} ns, incarnation {}", tsc.mode, tsc.khz, tsc.nsec, tsc.incarnation))
        }
        Body::HvmParams(params) if params.is_empty() => {
            out.push("Warning: HVM_PARAMS record with zero content".into());
        }
        _ => {}
    }
}

/// `X86_PV_INFO` as `x86 PV info`, `PAGE_DATA` as `Page data`: stock's spelling of the names.
fn spoken(name: &str) -> String {
    let words = name.to_lowercase().replace('_', " ");
    let mut out = match words.strip_prefix("x86 ") {
        Some(_) => words,
        None => words[..1].to_uppercase() + &words[1..],
    };
    for (plain, kept) in
        [(" pv ", " PV "), (" p2m ", " P2M "), ("cpuid", "CPUID"), ("msr ", "MSR "), ("Tsc", "TSC"), ("Hvm", "HVM")]
    {
        out = out.replace(plain, kept);
    }
    if out == "x86 tsc info" { "TSC info".into() } else { out }
}
