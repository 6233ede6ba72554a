//! The LZ4 legacy frame, as `lz4 -l` writes it for Linux: a magic number, then blocks of up to 8 MiB unpacked,
//! each with its packed length before it and independent of the others.

/// The first bytes of a legacy frame (0x184c2102).
pub(super) const MAGIC: [u8; 4] = [0x02, 0x21, 0x4c, 0x18];

/// The most that a block unpacks to.
const BLOCK: usize = 8 << 20;
/// The most bytes that a byte of a block unpacks to: one of a run's length gives 255.
const MAX_RATIO: usize = 255;

/// Unpacks at most `size` bytes.
pub(super) fn unpack(stream: &[u8], size: usize) -> Result<Vec<u8>, String> {
    let mut rest = stream.strip_prefix(&MAGIC).ok_or("no LZ4 magic number")?;
    let mut out = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        // Frames may follow one another.
        if *length == MAGIC {
            rest = after;
            continue;
        }
        let length = u32::from_le_bytes(*length) as usize;
        let (block, after) = after
            .split_at_checked(length)
            .ok_or_else(|| format!("block of {length} bytes is cut short: {} left", after.len()))?;
        let start = out.len();
        let room = BLOCK.min(length.saturating_mul(MAX_RATIO)).min(size - start);
        out.resize(start + room, 0);
        let written = lz4_flex::block::decompress_into(block, &mut out[start..]).map_err(|e| e.to_string())?;
        out.truncate(start + written);
        rest = after;
    }
    if rest.is_empty() { Ok(out) } else { Err(format!("{} stray bytes after the last block", rest.len())) }
}
