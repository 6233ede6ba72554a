//! Streams of Xen before 4.6, whole and damaged: stock's convert-legacy-stream and ours make the same of them.

use fastrand::Rng;
use parity::legacy::{self, Kind};
use parity::stock::Stock;
use parity::{stream, tool};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

const WHOLE: usize = 160;
const DAMAGED: usize = 1000;
const TOOL: &str = "convert-legacy-stream";

/// Calls stock's tool, which is in Python, for each line of a list: whether it takes the stream. Its memory is limited:
/// it believes every length that it reads.
const STOCK: &str = r#"
import importlib.machinery, resource, sys, types
script, work = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
loader = importlib.machinery.SourceFileLoader("convert", script)
convert = types.ModuleType("convert")
loader.exec_module(convert)
convert.err = lambda words: None
for line in open(work):
    source, target, skip_qemu, _, width, _, guest, _, form = line.split()
    convert.twidth, convert.pv, convert.qemu = int(width), guest == "pv", skip_qemu == "false"
    with open(source, "rb", 0) as convert.fin, open(target, "wb", 0) as convert.fout:
        try:
            status = convert.read_legacy_stream(convert.VM(form))
        except Exception:
            status = 1
    print(status)
"#;

/// What ours refuses and stock's tool takes, though nothing of it can be restored: how ours says so, and chunks and an
/// HVM context that show it.
const STRICTER: [(&str, &[i32], &[u8]); 3] = [
    ("has no known type", &[1, 0x6000_0000, 0], b"context"),
    ("highest vCPU: 0 to 4095 expected", &[-2, -5], b"context"),
    ("legacy HVM context: length: found 0", &[], b""),
];

/// Whether ours takes a stream, and what it says if not.
fn our_verdict(program: &Path, kind: Kind, source: &Path, target: &Path) -> (bool, String) {
    let mut command = Command::new(program);
    command.arg("--in").arg(source).arg("--out").arg(target).args(kind.options());
    command.args(kind.skip_qemu.then_some("--skip-qemu"));
    let output = command.output().expect("convert-legacy-stream runs");
    let status = output.status.code().expect("it does not crash");
    assert!(status < 2, "{}: status {status}", source.display());
    (status == 0, String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Puts streams to both tools; how many both take, and what differs without a reason.
fn compare(name: &str, streams: &[(Kind, Vec<u8>)]) -> (usize, Vec<String>) {
    let stock = Stock::fetch().expect("stock xl's tools");
    let directory = tool::directory(env!("CARGO_TARGET_TMPDIR"), name);
    let path = |number: usize, end: &str| directory.join(format!("{number:04}.{end}"));
    let mut list = String::new();
    for (number, (kind, bytes)) in streams.iter().enumerate() {
        let [source, target] = ["legacy", "stock"].map(|end| path(number, end));
        fs::write(&source, bytes).expect("writing a stream");
        let options = kind.options().join(" ");
        writeln!(list, "{} {} {} {options}", source.display(), target.display(), kind.skip_qemu).expect("a string");
    }
    fs::write(directory.join("list"), list).expect("writing the list");
    let verdicts = tool::stocks_verdicts(&stock, TOOL, STOCK, &directory.join("list"));
    assert_eq!(verdicts.len(), streams.len());
    let (program, mut taken, mut differences) = (tool::ours(TOOL), 0, Vec::new());
    for (number, ((kind, _), stock)) in streams.iter().zip(verdicts).enumerate() {
        let (ours, words) = our_verdict(&program, *kind, &path(number, "legacy"), &path(number, "ours"));
        let read = |end: &str| fs::read(path(number, end)).expect("what was converted");
        let same = match (stock, ours) {
            (true, true) => read("stock") == read("ours"),
            (true, false) => STRICTER.iter().any(|(reason, ..)| words.contains(reason)),
            (stock, ours) => stock == ours,
        };
        taken += usize::from(stock && ours);
        if !same {
            let source = path(number, "legacy");
            differences.push(format!("{} {kind:?}: stock {stock}, ours {ours}: {words}", source.display()));
        }
    }
    (taken, differences)
}

#[test]
fn whole_streams_become_the_same() {
    let sample = |number: usize| {
        let kind = Kind::number(number);
        (kind, legacy::sample(kind, &mut Rng::with_seed(number as u64)).bytes())
    };
    let streams: Vec<(Kind, Vec<u8>)> = (0..WHOLE).map(sample).collect();
    assert_eq!(compare("legacy-whole", &streams), (streams.len(), vec![]));
}

/// A stream of an HVM guest with these chunks.
fn with_chunks(chunks: &[i32], context: &[u8]) -> (Kind, Vec<u8>) {
    let pages = if chunks.first() == Some(&1) { 4096 } else { 0 };
    let words: Vec<u8> = chunks.iter().flat_map(|word| word.to_le_bytes()).collect();
    let length = (context.len() as u32).to_le_bytes();
    let stream = [&[0, 0, 0x10, 0, 0, 0, 0, 0], &words[..], &vec![0; pages], &[0; 4 + 24], &length, context].concat();
    (Kind { pv: false, width: 8, libxl: false, skip_qemu: true }, stream)
}

#[test]
fn what_ours_alone_refuses_is_taken_by_stocks_tool() {
    let streams: Vec<(Kind, Vec<u8>)> =
        STRICTER.iter().map(|(_, chunks, context)| with_chunks(chunks, context)).collect();
    assert_eq!(compare("legacy-stricter", &streams), (0, vec![]));
}

/// Stock's tool makes a record without pages of it, which nobody restores.
#[test]
fn a_batch_without_pages_is_left_out() {
    const RECORD: usize = 16;
    let absent = 0xf000_0000_u32.cast_signed();
    let (taken, differences) = compare("legacy-absent", &[with_chunks(&[2, absent, 0, absent, 0], b"context")]);
    assert_eq!((taken, differences.len()), (1, 1));
    let made = |by: &str| {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("legacy-absent/0000").with_extension(by);
        fs::read(file).expect("what was converted")
    };
    assert_eq!(made("ours").len() + RECORD, made("stock").len());
}

/// `STREAM_SEED=N` repeats a run.
#[test]
fn damaged_streams_are_refused_alike() {
    let seed = std::env::var("STREAM_SEED").map_or(46, |seed| seed.parse().expect("STREAM_SEED is a number"));
    println!("STREAM_SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    let damaged = |number: usize| {
        let kind = Kind::number(number);
        (kind, stream::damage(legacy::sample(kind, &mut rng), &mut rng))
    };
    let streams: Vec<(Kind, Vec<u8>)> = (0..DAMAGED).map(damaged).collect();
    let (taken, differences) = compare("legacy-damaged", &streams);
    println!("{} streams, {taken} of them still good", streams.len());
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}
