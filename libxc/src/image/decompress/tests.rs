//! Fixtures are packed by the tools that Linux's build uses, with its options, and end with the unpacked size.

use super::*;

const PLAIN: &[u8] = include_bytes!("fixtures/plain");
const PACKED: [(Format, &[u8]); 7] = [
    (Format::Gzip, include_bytes!("fixtures/plain.gz")),
    (Format::Bzip2, include_bytes!("fixtures/plain.bz2")),
    (Format::Xz, include_bytes!("fixtures/plain.xz")),
    (Format::Zstd, include_bytes!("fixtures/plain.zst")),
    (Format::Lzma, include_bytes!("fixtures/plain.lzma")),
    (Format::Lzo, include_bytes!("fixtures/plain.lzo")),
    (Format::Lz4, include_bytes!("fixtures/plain.lz4")),
];

fn with_size(data: &[u8], size: u32) -> Vec<u8> {
    let mut data = data.to_vec();
    let at = data.len() - SIZE_FIELD;
    data[at..].copy_from_slice(&size.to_le_bytes());
    data
}

#[test]
fn every_format_of_linux_is_known_and_unpacks() {
    for (format, packed) in PACKED {
        assert_eq!(Format::of(packed), Some(format));
        assert!(payload(format, packed).unwrap() == PLAIN, "{format:?}");
    }
}

#[test]
fn output_of_another_size_than_told_is_refused() {
    for (format, packed) in PACKED {
        for size in [0, 1, PLAIN.len() as u32 - 1, PLAIN.len() as u32 + 1, 1 << 30] {
            let fault = payload(format, &with_size(packed, size)).unwrap_err().to_string();
            assert!(fault.starts_with(&format!("{} data: ", format.name())), "{format:?} {size}: {fault}");
        }
        let fault = payload(format, &with_size(packed, (1 << 30) + 1)).unwrap_err().to_string();
        assert!(fault.contains("more than the limit of 1073741824"), "{fault}");
    }
}

#[test]
fn data_cut_short_anywhere_is_refused() {
    for (format, packed) in PACKED {
        let stream = &packed[..packed.len() - SIZE_FIELD];
        for length in 0..stream.len() {
            let mut cut = stream[..length].to_vec();
            cut.extend_from_slice(&(PLAIN.len() as u32).to_le_bytes());
            // The check sum at the end of bzip2 and lzma streams is all that some cuts lose: the data may be whole.
            if let Ok(out) = payload(format, &cut) {
                assert!(out == PLAIN, "{format:?} cut to {length}");
            }
        }
    }
}

#[test]
fn small_blocks_that_promise_much_take_no_memory() {
    // An lzop block of 4 bytes that claims to unpack to 64 MiB.
    let header_end = PACKED[5].1.windows(4).position(|w| w == 5500_u32.to_be_bytes()).unwrap();
    let mut lzo = PACKED[5].1[..header_end].to_vec();
    lzo.extend_from_slice(&[0x04, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0x11, 0, 0, 0]);
    lzo.extend_from_slice(&(1_u32 << 30).to_le_bytes());
    let fault = payload(Format::Lzo, &lzo).unwrap_err().to_string();
    assert_eq!(fault, "lzo data: block of 4 bytes cannot unpack to 67108864");
}
