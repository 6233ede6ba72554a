//! LZMA, xz and the x86 filter against another implementation, `lzma-rust2`.

use super::*;
use lzma_rust2::{CheckType, LzmaOptions, LzmaReader, LzmaWriter, XzOptions, XzReader, XzWriter, filter::FilterType};
use std::io::Write;
use std::num::NonZeroU64;

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

/// Something like a kernel: code with calls near and far, runs, repeats at all distances, noise.
fn sample(seed: u64, size: usize) -> Vec<u8> {
    let mut numbers = Numbers(seed | 1);
    let mut out = Vec::new();
    while out.len() < size {
        match numbers.below(6) {
            0 => out.extend((0..numbers.below(40)).map(|n| n as u8 ^ 0x5a)),
            1 => out.extend(std::iter::repeat_n(numbers.below(3) as u8, numbers.below(700))),
            2 => {
                for _ in 0..numbers.below(30) {
                    let high = [0x00, 0xff, 0x01, 0xe8, 0xe9][numbers.below(5)];
                    let opcode = 0xe8 + numbers.below(2) as u8;
                    out.extend([opcode, numbers.below(256) as u8, [0xe8, 0xff][numbers.below(2)], 0xe9, high]);
                    out.truncate(out.len() - numbers.below(4));
                }
            }
            3 if !out.is_empty() => {
                let distance = 1 + numbers.below(out.len());
                (0..numbers.below(400)).for_each(|_| out.push(out[out.len() - distance]));
            }
            4 if !out.is_empty() => {
                let distance = 1 + numbers.below(out.len().min(20));
                (0..numbers.below(60)).for_each(|_| out.push(out[out.len() - distance]));
            }
            _ => out.extend((0..numbers.below(50)).map(|_| numbers.below(256) as u8)),
        }
    }
    out.truncate(size);
    out
}

fn xz(data: &[u8], lzma: LzmaOptions, check: CheckType, x86: bool, block: Option<u64>) -> Vec<u8> {
    let mut options = XzOptions { lzma_options: lzma, check_type: check, block_size: None, filters: vec![] };
    options.set_block_size(block.and_then(NonZeroU64::new));
    if x86 {
        options.prepend_pre_filter(FilterType::BcjX86, 0);
    }
    let mut writer = XzWriter::new(Vec::new(), options).unwrap();
    writer.write_all(data).unwrap();
    writer.finish().unwrap()
}

fn options(preset: u32, lc: u32, lp: u32, pb: u32) -> LzmaOptions {
    LzmaOptions { lc, lp, pb, dict_size: 1 << 16, ..LzmaOptions::with_preset(preset) }
}

#[test]
fn xz_of_any_shape_unpacks() {
    let shapes = [(0, 3, 0, 2), (6, 3, 0, 2), (6, 0, 0, 0), (1, 0, 4, 4), (2, 4, 0, 0), (6, 2, 2, 1)];
    for (seed, (preset, lc, lp, pb)) in shapes.into_iter().enumerate() {
        for size in [0, 1, 4, 5, 17, 1000, 150_000] {
            let data = sample(seed as u64 + size as u64, size);
            let lzma = || options(preset, lc, lp, pb);
            for packed in [
                xz(&data, lzma(), CheckType::Crc32, true, None),
                xz(&data, lzma(), CheckType::None, false, Some(70_000)),
                xz(&data, lzma(), CheckType::Crc64, true, Some(70_000)),
                xz(&data, lzma(), CheckType::Sha256, false, None),
            ] {
                assert!(xz::unpack(&packed, size).unwrap() == data, "{preset} {lc} {lp} {pb} {size}");
            }
        }
    }
}

fn lzma(data: &[u8], options: &LzmaOptions, marker: bool) -> Vec<u8> {
    let size = (!marker).then_some(data.len() as u64);
    let mut writer = LzmaWriter::new_use_header(Vec::new(), options, size).unwrap();
    writer.write_all(data).unwrap();
    writer.finish().unwrap()
}

#[test]
fn lzma_of_any_shape_unpacks() {
    // The last is larger than the steps in which memory is taken.
    for (size, lc, lp, pb) in [(0, 3, 0, 2), (1, 3, 0, 2), (5000, 8, 4, 4), (70_000, 0, 0, 0), (9 << 18, 3, 0, 2)] {
        let data = sample(size as u64, size);
        for marker in [false, true] {
            let packed = lzma(&data, &options(0, lc, lp, pb), marker);
            assert!(lzma::unpack(&packed, size).unwrap() == data, "{size} {lc} {lp} {pb} {marker}");
        }
    }
}

/// Damaged streams never panic, and give what the other implementation gives if anything.
#[test]
fn damage_is_met_as_elsewhere() {
    let data = sample(7, 3000);
    let plain = xz(&data, options(6, 3, 0, 2), CheckType::Crc32, true, None);
    let unchecked = xz(&data, options(6, 3, 0, 2), CheckType::None, true, None);
    let alone = lzma(&data, &options(6, 3, 0, 2), true);
    let mut numbers = Numbers(99);
    for round in 0..1000 {
        let damage = |stream: &[u8], numbers: &mut Numbers| {
            let mut stream = stream.to_vec();
            let at = numbers.below(stream.len());
            stream[at] ^= 1 << numbers.below(8);
            stream
        };
        let hit = damage(&plain, &mut numbers);
        assert!(xz::unpack(&hit, data.len()).map_or(true, |out| out == data), "{round}");

        let hit = damage(&unchecked, &mut numbers);
        if let Ok(out) = xz::unpack(&hit, data.len()) {
            let mut other = Vec::new();
            let read = XzReader::new(&hit[..], false).read_to_end(&mut other);
            assert!(read.is_err() || other == out, "{round}");
        }
        let hit = damage(&alone, &mut numbers);
        if let Ok(out) = lzma::unpack(&hit, data.len()) {
            let mut other = Vec::new();
            let reader = LzmaReader::new_mem_limit(&hit[..], 1 << 20, None);
            let read = reader.and_then(|mut reader| reader.read_to_end(&mut other));
            assert!(read.is_err() || out.starts_with(&other) || other.starts_with(&out), "{round}");
        }
    }
}

#[test]
fn faults_of_xz_are_named() {
    let data = sample(3, 1000);
    let good = xz(&data, options(6, 3, 0, 2), CheckType::Crc32, true, None);
    let changed = |at: usize, value: u8| {
        let mut bad = good.clone();
        bad[at] = value;
        xz::unpack(&bad, data.len()).unwrap_err()
    };
    let end = good.len();
    assert_eq!(changed(0, 0), "stream header: not valid");
    assert_eq!(changed(8, !good[8]), "stream header: wrong CRC32");
    assert_eq!(changed(14, !good[14]), "block header: wrong CRC32");
    assert_eq!(changed(end - 1, 0), "stream footer: not valid");
    assert_eq!(changed(end - 12, !good[end - 12]), "stream footer: wrong CRC32");
    assert_eq!(changed(end - 16, !good[end - 16]), "index: wrong CRC32");
    assert_eq!(xz::unpack(&good, 999).unwrap_err(), "unpacks to more than 999 bytes");
    let mut delta = XzOptions::with_preset(6);
    delta.prepend_pre_filter(FilterType::Delta, 4);
    let mut writer = XzWriter::new(Vec::new(), delta).unwrap();
    writer.write_all(&data).unwrap();
    let error = xz::unpack(&writer.finish().unwrap(), 1000).unwrap_err();
    assert!(error.contains("are not LZMA2, or x86 and LZMA2"), "{error}");
}
