//! The x86 filter of xz (BCJ): calls and jumps are packed with absolute targets, so that all calls of a function
//! look the same. Unpacking turns them back into relative ones.

/// The bytes of a call or jump: an opcode and four of target.
const INSTRUCTION: usize = 5;

/// Undoes the filter on a whole block, in place.
pub(super) fn decode(block: &mut [u8]) {
    // Bit n: the byte n + 1 before was an opcode (0xe8, 0xe9) that was left as it is.
    let mut left_alone = 0_u32;
    let mut at = 0;
    while let Some(opcode) = next_opcode(block, at) {
        left_alone = if opcode - at < 3 { left_alone << (opcode - at) & 7 } else { 0 };
        if convert(block, opcode, left_alone) {
            left_alone = 0;
            at = opcode + INSTRUCTION;
        } else {
            left_alone = left_alone << 1 | 1;
            at = opcode + 1;
        }
    }
}

/// Where the next opcode is that has a whole target after it. Eight bytes are looked at at once.
#[inline(always)]
fn next_opcode(block: &[u8], from: usize) -> Option<usize> {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let mut at = from;
    while let Some(bytes) = block.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        // A byte of `word` is zero where there is an opcode; the lowest such byte gets its high bit set.
        let word = (u64::from_le_bytes(*bytes) & (EACH * 0xfe)) ^ (EACH * 0xe8);
        let zeros = word.wrapping_sub(EACH) & !word & (EACH * 0x80);
        if zeros != 0 {
            at += zeros.trailing_zeros() as usize / 8;
            return (at + INSTRUCTION <= block.len()).then_some(at);
        }
        at += 8;
    }
    (at..=block.len().checked_sub(INSTRUCTION)?).find(|&at| block[at] & 0xfe == 0xe8)
}

/// Converts one target, if it is one: a call into the same 16 MiB has 0x00 or 0xff as its highest byte.
#[inline(always)]
fn convert(block: &mut [u8], opcode: usize, left_alone: u32) -> bool {
    let Some(target) = block[opcode + 1..].first_chunk::<4>().copied() else { return false };
    if !is_high_byte(target[3]) {
        return false;
    }
    // An opcode among the three bytes before has its own highest byte inside this target. With two of them, or if
    // that byte is a likely one, this is no instruction.
    let overlap = (left_alone != 0).then(|| left_alone.trailing_zeros() as usize);
    if left_alone.count_ones() > 1 || overlap.is_some_and(|n| is_high_byte(target[2 - n])) {
        return false;
    }
    let next = (opcode + INSTRUCTION) as u32;
    let mut relative = u32::from_le_bytes(target).wrapping_sub(next);
    if let Some(n) = overlap {
        // The packer had to keep that byte from becoming a likely one, and inverted what is below.
        let shift = 16 - 8 * n as u32;
        while is_high_byte((relative >> shift) as u8) {
            relative = (relative ^ ((1 << (shift + 8)) - 1)).wrapping_sub(next);
        }
    }
    // 25 bits are significant, the highest is the sign.
    let relative = ((relative << 7) as i32 >> 7) as u32;
    block[opcode + 1..opcode + INSTRUCTION].copy_from_slice(&relative.to_le_bytes());
    true
}

fn is_high_byte(byte: u8) -> bool {
    byte == 0x00 || byte == 0xff
}
