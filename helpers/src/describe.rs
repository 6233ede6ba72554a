//! What the parts of a stream say, for people and as JSON.

use crate::walk::{Body, LibxlBody, Part};
use libxc::context::{fields, hvm};
use libxc::cpuid::{CpuidLeaf, MsrEntry};
use libxc::stream::pv::PvInfo;
use libxc::stream::{GuestKind, PageData, PageType};
use libxl::stream::emulator::{EmulatorHeader, EmulatorId};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::fmt;

/// One part of a stream.
#[derive(Debug, Serialize)]
pub struct Description {
    /// Where it begins; in a compressed stream, as if it were not compressed.
    pub offset: u64,
    /// `xl`, `libxl` or `libxc`.
    pub layer: &'static str,
    /// The name of the header or record.
    pub record: &'static str,
    /// Bytes of the record's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// What it says: numbers that are addresses, registers or masks are texts like `"0x10"`.
    #[serde(flatten)]
    pub facts: Map<String, Value>,
}

/// Describes a part that begins at this offset.
pub fn describe(offset: u64, part: &Part<'_>) -> Description {
    let (layer, record, length, facts) = match part {
        Part::SaveFile(header, config) => {
            let config = config.map(|text| String::from_utf8_lossy(text).into_owned());
            let config = config.map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text)));
            let flags = hex(header.mandatory_flags().into());
            (
                "xl",
                "header",
                None,
                json!({ "mandatory_flags": flags, "compressed": header.compressed, "config": config }),
            )
        }
        Part::Libxl(header) => ("libxl", "header", None, json!({ "converted": header.converted })),
        Part::LibxlRecord(header, body) => ("libxl", header.kind.name(), Some(header.length.into()), libxl_body(body)),
        Part::Image(header) => ("libxc", "image header", None, json!({ "version": header.version })),
        Part::Domain(header) => {
            let kind = match header.kind {
                GuestKind::Pv => "x86 PV",
                GuestKind::Hvm => "x86 HVM",
            };
            let xen = format!("{}.{}", header.xen_major, header.xen_minor);
            ("libxc", "domain header", None, json!({ "type": kind, "xen": xen }))
        }
        Part::Record(kind, length, body) => ("libxc", kind.name(), Some(*length as u64), libxc_body(kind.name(), body)),
    };
    let facts = match facts {
        Value::Object(facts) => facts,
        _ => Map::new(),
    };
    Description { offset, layer, record, length, facts }
}

fn libxl_body(body: &LibxlBody<'_>) -> Value {
    let emulator = |header: &EmulatorHeader| {
        let name = match header.id {
            EmulatorId::Unknown => "unknown",
            EmulatorId::QemuTraditional => "qemu-traditional",
            EmulatorId::QemuUpstream => "qemu-xen",
        };
        (name, header.index)
    };
    match body {
        LibxlBody::Empty => Value::Null,
        LibxlBody::XenstoreData(header, pairs) => {
            let (name, index) = emulator(header);
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let nodes: Map<_, _> = pairs.iter().map(|(key, value)| (text(key), text(value).into())).collect();
            json!({ "emulator": name, "index": index, "nodes": nodes })
        }
        LibxlBody::EmulatorContext(header) => {
            let (name, index) = emulator(header);
            json!({ "emulator": name, "index": index })
        }
        LibxlBody::CheckpointState(id) => json!({ "id": bytes(id) }),
    }
}

fn libxc_body(record: &str, body: &Body<'_>) -> Value {
    match body {
        Body::Empty => Value::Null,
        Body::Pages(pages) => page_data(pages),
        Body::PvInfo(info) => {
            json!({ "guest_width": info.width(), "pt_levels": if *info == PvInfo::Bits32 { 3 } else { 4 } })
        }
        Body::P2mFrames(p2m) => {
            let ends = (hex(p2m.start_pfn.into()), hex(p2m.end_pfn.into()));
            json!({ "start_pfn": ends.0, "end_pfn": ends.1, "frames": p2m.frames.len() })
        }
        Body::Vcpu(vcpu) => json!({ "vcpu": vcpu.vcpu, "bytes": vcpu.state.len() }),
        Body::Opaque(context) if record == "HVM_CONTEXT" => hvm_context(context),
        Body::Opaque(_) => Value::Null,
        Body::Tsc(tsc) => {
            json!({ "mode": tsc.mode, "khz": tsc.khz, "nsec": tsc.nsec, "incarnation": tsc.incarnation })
        }
        Body::HvmParams(params) => {
            let params: Vec<_> = params.iter().map(|p| json!({ "index": p.index, "value": hex(p.value) })).collect();
            json!({ "params": params })
        }
        Body::Cpuid(leaves) => json!({ "leaves": leaves.iter().map(leaf).collect::<Vec<_>>() }),
        Body::Msrs(msrs) => json!({ "msrs": msrs.iter().map(msr).collect::<Vec<_>>() }),
    }
}

/// How many pages of each kind, and the range they lie in.
fn page_data(pages: &PageData) -> Value {
    let mut kinds: Map<String, Value> = Map::new();
    for entry in &pages.entries {
        let name = match entry.kind {
            PageType::Normal => "normal".into(),
            PageType::Table { level, pinned } => format!("L{level}{}", if pinned { " pinned" } else { "" }),
            PageType::Broken => "broken".into(),
            PageType::AllocateOnly => "allocate".into(),
            PageType::Absent => "absent".into(),
        };
        let count = kinds.get(&name).and_then(Value::as_u64).unwrap_or(0);
        kinds.insert(name, (count + 1).into());
    }
    let pfns = || pages.entries.iter().map(|entry| entry.pfn.0);
    let (first, last) = (pfns().min().unwrap_or(0), pfns().max().unwrap_or(0));
    json!({ "count": pages.entries.len(), "first": hex(first), "last": hex(last), "types": kinds })
}

fn leaf(leaf: &CpuidLeaf) -> Value {
    // eax, ebx, ecx, edx.
    let registers = leaf.registers.map(|register| format!("{register:#010x}"));
    json!({ "leaf": hex(leaf.leaf.into()), "registers": registers, "subleaf": hex(leaf.subleaf.into()) })
}

fn msr(msr: &MsrEntry) -> Value {
    json!({ "index": hex(msr.index.into()), "flags": hex(msr.flags.into()), "value": hex(msr.value) })
}

/// A context of a Xen that this program does not know is told as bytes, and why.
fn hvm_context(context: &[u8]) -> Value {
    match hvm::decode(context) {
        Ok(records) => json!({ "records": records.iter().map(hvm_record).collect::<Vec<_>>() }),
        Err(e) => json!({ "error": e.to_string(), "bytes": bytes(context) }),
    }
}

fn hvm_record(record: &hvm::Record<'_>) -> Value {
    let mut out = Map::new();
    out.insert("code".into(), record.code.name().into());
    out.insert("instance".into(), record.instance.into());
    for field in fields(record) {
        let value = match (field.width, field.bytes.len()) {
            (width, length) if width == length => hex(field.values().next().unwrap_or(0)),
            (1, _) => bytes(field.bytes),
            _ => field.values().map(hex).collect(),
        };
        out.insert(field.name.into(), value);
    }
    Value::Object(out)
}

fn hex(number: u64) -> Value {
    format!("{number:#x}").into()
}

fn bytes(bytes: &[u8]) -> Value {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

impl fmt::Display for Description {
    /// A line for the part, then an indented one for each item of its lists.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#012x} {} {}", self.offset, self.layer, self.record)?;
        if let Some(length) = self.length {
            write!(f, ", {length} bytes")?;
        }
        let is_long = |value: &Value| match value {
            Value::Array(_) => true,
            Value::Object(fields) => fields.values().any(Value::is_object),
            _ => false,
        };
        for (name, value) in self.facts.iter().filter(|(_, value)| !is_long(value)) {
            write!(f, ", {name} {}", short(value))?;
        }
        writeln!(f)?;
        for (name, value) in self.facts.iter().filter(|(_, value)| is_long(value)) {
            match value {
                Value::Array(items) => items.iter().try_for_each(|item| writeln!(f, "    {}", short(item)))?,
                _ => writeln!(f, "    {name} {value}")?,
            }
        }
        Ok(())
    }
}

/// A value on one line, without JSON's marks.
fn short(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| format!("{name} {}", short(value))).collect::<Vec<_>>().join(", ")
        }
        Value::Array(items) => items.iter().map(short).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libxc::stream::{PfnEntry, RecordType};
    use libxc::types::Pfn;

    #[test]
    fn pages_are_counted_by_kind() {
        let entry = |pfn, kind| PfnEntry { pfn: Pfn(pfn), kind };
        let table = PageType::Table { level: 4, pinned: true };
        let entries = vec![entry(9, PageType::Normal), entry(3, table), entry(4, PageType::Normal)];
        let part = Part::Record(RecordType::PageData, 12_320, Body::Pages(PageData { entries }));
        let told = describe(16, &part);
        assert_eq!(
            told.to_string(),
            "0x0000000010 libxc PAGE_DATA, 12320 bytes, count 3, first 0x3, last 0x9, types L4 pinned 1, normal 2\n"
        );
        let json = serde_json::to_value(&told).unwrap();
        assert_eq!((&json["offset"], &json["types"]["normal"]), (&json!(16), &json!(2)));
    }

    #[test]
    fn a_captured_hvm_context_is_taken_apart() {
        let context = include_bytes!("../../tests/fixtures/pvh.hvmcontext");
        let told = describe(0, &Part::Record(RecordType::HvmContext, context.len(), Body::Opaque(context)));
        let records = told.facts["records"].as_array().unwrap();
        let cpu = records.iter().find(|r| r["code"] == "CPU" && r["instance"] == 1).unwrap();
        assert_eq!(cpu["cs_sel"], "0x10");
        assert_eq!(cpu["fpu_regs"].as_str().unwrap().len(), 1024);
        let text = told.to_string();
        assert_eq!(text.lines().count(), 1 + records.len());
        assert!(text.contains("    code TSC_ADJUST, instance 1, tsc_adjust 0x"), "{text}");
    }

    #[test]
    fn an_unknown_hvm_context_is_told_as_bytes() {
        let told = describe(0, &Part::Record(RecordType::HvmContext, 3, Body::Opaque(b"\x01\x02\xff")));
        assert_eq!(told.facts["bytes"], "0102ff");
        assert!(told.facts["error"].as_str().unwrap().contains("HVM context"));
    }
}
