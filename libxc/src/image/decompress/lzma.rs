//! LZMA: literals, and copies of what came before. In files of its own (`.lzma`), and in the chunks of [`super::xz`].
//!
//! Output goes straight to its final place, which is the dictionary at the same time: a kernel is copied by no one
//! before its builder.

use super::range::{EVEN, Probability, RangeDecoder};

const STATES: usize = 12;
/// States from here on follow a copy, the others a literal.
const FIRST_COPY_STATE: usize = 7;
const POSITION_STATES: usize = 16;
const LITERAL_CODER: usize = 0x300;
const MIN_LENGTH: usize = 2;
/// The longest distance slots with probabilities for all their bits end here.
const FIRST_ALIGNED_SLOT: usize = 14;
const ALIGN_BITS: u32 = 4;

/// The parameters of a stream: one byte in its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Properties {
    /// How many high bits of the last byte, and low bits of the position, choose a literal's probabilities.
    pub(super) literal_context_bits: u32,
    pub(super) literal_position_bits: u32,
    /// How many low bits of the position choose the others.
    position_bits: u32,
}

impl Properties {
    pub(super) fn new(byte: u8) -> Option<Properties> {
        let byte = u32::from(byte);
        (byte < 9 * 5 * 5).then_some(Properties {
            literal_context_bits: byte % 9,
            literal_position_bits: byte / 9 % 5,
            position_bits: byte / 45,
        })
    }
}

/// The decoder's model of what it expects.
pub(super) struct Model {
    properties: Properties,
    state: usize,
    /// The last four distances, less one.
    distances: [u32; 4],
    /// What is left of a copy for which the output had no room.
    pending: usize,
    literals: Vec<[Probability; LITERAL_CODER]>,
    is_copy: [[Probability; POSITION_STATES]; STATES],
    is_repeat: [Probability; STATES],
    is_other_distance: [Probability; STATES],
    is_long_repeat: [[Probability; POSITION_STATES]; STATES],
    is_third_or_fourth: [Probability; STATES],
    is_fourth: [Probability; STATES],
    copy_length: LengthModel,
    repeat_length: LengthModel,
    distance_slots: [[Probability; 64]; 4],
    distance_special: [Probability; 128],
    distance_align: [Probability; 1 << ALIGN_BITS],
}

/// The model of the lengths of copies.
struct LengthModel {
    is_not_low: Probability,
    is_high: Probability,
    low: [[Probability; 8]; POSITION_STATES],
    middle: [[Probability; 8]; POSITION_STATES],
    high: [Probability; 256],
}

impl LengthModel {
    const NEW: LengthModel = LengthModel {
        is_not_low: EVEN,
        is_high: EVEN,
        low: [[EVEN; 8]; POSITION_STATES],
        middle: [[EVEN; 8]; POSITION_STATES],
        high: [EVEN; 256],
    };

    #[inline(always)]
    fn decode(&mut self, rc: &mut RangeDecoder<'_>, position_state: usize) -> usize {
        if !rc.bit(&mut self.is_not_low) {
            MIN_LENGTH + rc.tree(&mut self.low[position_state])
        } else if !rc.bit(&mut self.is_high) {
            MIN_LENGTH + 8 + rc.tree(&mut self.middle[position_state])
        } else {
            MIN_LENGTH + 16 + rc.tree(&mut self.high)
        }
    }
}

impl Model {
    /// A model that expects nothing yet.
    pub(super) fn new(properties: Properties) -> Model {
        let literal_bits = properties.literal_context_bits + properties.literal_position_bits;
        Model {
            properties,
            state: 0,
            distances: [0; 4],
            pending: 0,
            literals: vec![[EVEN; LITERAL_CODER]; 1 << literal_bits],
            is_copy: [[EVEN; POSITION_STATES]; STATES],
            is_repeat: [EVEN; STATES],
            is_other_distance: [EVEN; STATES],
            is_long_repeat: [[EVEN; POSITION_STATES]; STATES],
            is_third_or_fourth: [EVEN; STATES],
            is_fourth: [EVEN; STATES],
            copy_length: LengthModel::NEW,
            repeat_length: LengthModel::NEW,
            distance_slots: [[EVEN; 64]; 4],
            distance_special: [EVEN; 128],
            distance_align: [EVEN; 1 << ALIGN_BITS],
        }
    }

    /// Forgets everything but the properties.
    pub(super) fn reset(&mut self) {
        *self = Model::new(self.properties);
    }

    /// Whether the last copy has more than there was room for.
    pub(super) fn has_pending(&self) -> bool {
        self.pending != 0
    }

    /// Fills `out` from `start` on, and gives the position reached: before the end only if the stream has an end
    /// marker there. What is before `start` is the dictionary; positions count from its beginning.
    pub(super) fn decode(
        &mut self,
        rc: &mut RangeDecoder<'_>,
        out: &mut [u8],
        start: usize,
    ) -> Result<usize, &'static str> {
        let position_mask = (1 << self.properties.position_bits) - 1;
        let mut at = start;
        if self.pending != 0 {
            at = self.copy(out, at, self.pending)?;
        }
        while at < out.len() {
            if rc.overrun() {
                return Err("cut short");
            }
            let position_state = at & position_mask & (POSITION_STATES - 1);
            if !rc.bit(&mut self.is_copy[self.state][position_state]) {
                out[at] = self.literal(rc, out, at);
                at += 1;
                continue;
            }
            let length = if !rc.bit(&mut self.is_repeat[self.state]) {
                self.new_distance(rc, position_state)
            } else {
                self.repeated_distance(rc, position_state)
            };
            if self.distances[0] == u32::MAX {
                return Ok(at);
            }
            at = self.copy(out, at, length)?;
        }
        Ok(at)
    }

    /// Copies from the last distance, as far as there is room; gives the position reached.
    #[inline(always)]
    fn copy(&mut self, out: &mut [u8], at: usize, length: usize) -> Result<usize, &'static str> {
        let from = at.checked_sub(self.distances[0] as usize + 1).ok_or("a copy from before the start")?;
        let now = length.min(out.len() - at);
        self.pending = length - now;
        copy(out, from, at, now);
        Ok(at + now)
    }

    #[inline(always)]
    fn literal(&mut self, rc: &mut RangeDecoder<'_>, out: &[u8], at: usize) -> u8 {
        let Properties { literal_context_bits, literal_position_bits, .. } = self.properties;
        let last = if at == 0 { 0 } else { usize::from(out[at - 1]) };
        let position = at & ((1 << literal_position_bits) - 1);
        let coder = &mut self.literals[position << literal_context_bits | last >> (8 - literal_context_bits)];
        let mut symbol = 1;
        if self.state >= FIRST_COPY_STATE {
            // The byte that the last copy would have gone on with is a hint at what this one is not.
            let mut hint = at.checked_sub(self.distances[0] as usize + 1).map_or(0, |from| usize::from(out[from]));
            let mut follows = 0x100;
            for _ in 0..8 {
                hint <<= 1;
                let hinted = hint & follows;
                let bit = rc.bit(&mut coder[(follows + hinted + symbol) & 0x3ff]);
                symbol = symbol << 1 | usize::from(bit);
                follows &= if bit { hint } else { !hint };
            }
        } else {
            for _ in 0..8 {
                symbol = symbol << 1 | usize::from(rc.bit(&mut coder[symbol & 0xff]));
            }
        }
        self.state = match self.state {
            0..4 => 0,
            4..10 => self.state - 3,
            _ => self.state - 6,
        };
        symbol as u8
    }

    /// A copy from a new distance; gives its length.
    #[inline(always)]
    fn new_distance(&mut self, rc: &mut RangeDecoder<'_>, position_state: usize) -> usize {
        self.state = if self.state < FIRST_COPY_STATE { 7 } else { 10 };
        let length = self.copy_length.decode(rc, position_state);
        let slot = rc.tree(&mut self.distance_slots[(length - MIN_LENGTH).min(3)]);
        let distance = if slot < 4 {
            slot as u32
        } else {
            let bits = (slot >> 1) as u32 - 1;
            let high = (2 | slot as u32 & 1) << bits;
            if slot < FIRST_ALIGNED_SLOT {
                high + rc.reverse_tree(&mut self.distance_special, high as usize - slot, bits)
            } else {
                let middle = rc.direct(bits - ALIGN_BITS) << ALIGN_BITS;
                high + middle + rc.reverse_tree(&mut self.distance_align, 0, ALIGN_BITS)
            }
        };
        let [first, second, third, _] = self.distances;
        self.distances = [distance, first, second, third];
        length
    }

    /// A copy from one of the last four distances; gives its length.
    #[inline(always)]
    fn repeated_distance(&mut self, rc: &mut RangeDecoder<'_>, position_state: usize) -> usize {
        let state = self.state;
        let after_literal = state < FIRST_COPY_STATE;
        if !rc.bit(&mut self.is_other_distance[state]) {
            if !rc.bit(&mut self.is_long_repeat[state][position_state]) {
                self.state = if after_literal { 9 } else { 11 };
                return 1;
            }
        } else {
            let [first, second, third, fourth] = self.distances;
            self.distances = if !rc.bit(&mut self.is_third_or_fourth[state]) {
                [second, first, third, fourth]
            } else if !rc.bit(&mut self.is_fourth[state]) {
                [third, first, second, fourth]
            } else {
                [fourth, first, second, third]
            };
        }
        self.state = if after_literal { 8 } else { 11 };
        self.repeat_length.decode(rc, position_state)
    }
}

/// Copies within the output; the ranges may overlap, and then repeat what is between them.
#[inline(always)]
fn copy(out: &mut [u8], from: usize, to: usize, length: usize) {
    const STEP: usize = 16;
    let end = to + length;
    let mut distance = to - from;
    let mut at = to;
    if out.len() - end < STEP {
        copy_bytes(out, distance, at, end);
        return;
    }
    if distance < STEP {
        // What repeats every few bytes also repeats at a multiple of them that is as long as a step.
        distance *= STEP.div_ceil(distance);
        at += distance - (to - from);
        copy_bytes(out, to - from, to, at.min(end));
    }
    // Whole steps: the last may write past the end, where output is still to come.
    while at < end {
        let (done, rest) = out.split_at_mut(at);
        rest[..STEP].copy_from_slice(&done[at - distance..][..STEP]);
        at += STEP;
    }
}

/// Copies byte by byte from a distance.
fn copy_bytes(out: &mut [u8], distance: usize, start: usize, end: usize) {
    for at in start..end {
        out[at] = out[at - distance];
    }
}

/// The header of a `.lzma` file: properties, the size of the dictionary (the output is ours), the unpacked size.
const HEADER: usize = 1 + 4 + 8;
/// Memory is taken in steps of this.
const STEP: usize = 2 << 20;

/// Unpacks a `.lzma` file of at most `size` bytes.
pub(super) fn unpack(stream: &[u8], size: usize) -> Result<Vec<u8>, String> {
    let (header, data) = stream.split_first_chunk::<HEADER>().ok_or("cut short")?;
    let [properties, _, _, _, _, told @ ..] = *header;
    let properties = Properties::new(properties).ok_or_else(|| format!("properties {properties:#x} are not valid"))?;
    let told = u64::from_le_bytes(told);
    let limit = match told {
        // There is an end marker, which must come before another byte.
        u64::MAX => size + 1,
        _ if told == size as u64 => size,
        _ => return Err(format!("its header tells {told} bytes, not {size}")),
    };
    let mut rc = RangeDecoder::new(data).ok_or("no LZMA data")?;
    let mut model = Model::new(properties);
    let mut out = super::reserved(limit)?;
    while out.len() < limit {
        let start = out.len();
        out.resize(limit.min(start + STEP), 0);
        let end = model.decode(&mut rc, &mut out, start)?;
        if end < out.len() {
            out.truncate(end);
            break;
        }
    }
    if model.has_pending() {
        return Err(format!("unpacks to more than {size} bytes"));
    }
    Ok(out)
}
