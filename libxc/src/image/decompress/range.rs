//! The range decoder of LZMA: bits out of bytes, each with a probability that adapts.

/// The probability that a bit is 0, in units of 1/2048.
pub(super) type Probability = u16;

/// Before anything is known, either value is as likely.
pub(super) const EVEN: Probability = 1 << (PROBABILITY_BITS - 1);

const PROBABILITY_BITS: u32 = 11;
/// How fast probabilities adapt.
const MOVE_BITS: u32 = 5;
/// Below this the range takes in another byte.
const TOP: u64 = 1 << 24;

/// The decoder over one piece of input. Past its end it reads zeros, which [`RangeDecoder::overrun`] tells.
///
/// `range` and `code` are numbers of 32 bits. Two fields of that size would share a register, at the price of a
/// fifth more instructions.
pub(super) struct RangeDecoder<'a> {
    range: u64,
    code: u64,
    input: &'a [u8],
    next: usize,
}

impl<'a> RangeDecoder<'a> {
    /// Starts on the five bytes that begin every piece; none if they are not there or not valid.
    pub(super) fn new(input: &'a [u8]) -> Option<RangeDecoder<'a>> {
        let ([0, code @ ..], _) = input.split_first_chunk::<5>()? else { return None };
        Some(RangeDecoder { range: u32::MAX.into(), code: u32::from_be_bytes(*code).into(), input, next: 5 })
    }

    /// Whether more was read than there is.
    pub(super) fn overrun(&self) -> bool {
        self.next > self.input.len()
    }

    /// Whether the piece is used up to the last byte, and nothing is left over in the decoder.
    pub(super) fn finished(&mut self) -> bool {
        self.normalize();
        self.code == 0 && self.next == self.input.len()
    }

    #[inline(always)]
    fn normalize(&mut self) {
        if self.range < TOP {
            let byte = self.input.get(self.next).copied().unwrap_or(0);
            self.next += 1;
            self.range <<= 8;
            self.code = self.code << 8 | u64::from(byte);
        }
    }

    /// One bit.
    #[inline(always)]
    pub(super) fn bit(&mut self, probability: &mut Probability) -> bool {
        self.normalize();
        let zero = u64::from(*probability);
        let bound = (self.range >> PROBABILITY_BITS) * zero;
        if self.code < bound {
            self.range = bound;
            *probability = (zero + (((1 << PROBABILITY_BITS) - zero) >> MOVE_BITS)) as Probability;
            false
        } else {
            self.range -= bound;
            self.code -= bound;
            *probability = (zero - (zero >> MOVE_BITS)) as Probability;
            true
        }
    }

    /// A number of `log2(N)` bits, the highest first, each with a probability of its own for all that went before.
    #[inline(always)]
    pub(super) fn tree<const N: usize>(&mut self, probabilities: &mut [Probability; N]) -> usize {
        let mut node = 1;
        for _ in 0..N.ilog2() {
            // `node` is below N: the mask only tells so to the compiler.
            node = node << 1 | usize::from(self.bit(&mut probabilities[node & (N - 1)]));
        }
        node - N
    }

    /// A number of so many bits, the lowest first. `probabilities[base + node]` are those of the tree.
    #[inline(always)]
    pub(super) fn reverse_tree<const N: usize>(
        &mut self,
        probabilities: &mut [Probability; N],
        base: usize,
        bits: u32,
    ) -> u32 {
        let (mut node, mut value) = (1, 0);
        for position in 0..bits {
            let bit = self.bit(&mut probabilities[(base + node) & (N - 1)]);
            node = node << 1 | usize::from(bit);
            value |= u32::from(bit) << position;
        }
        value
    }

    /// A number of so many bits, the highest first, of equal probability each.
    #[inline(always)]
    pub(super) fn direct(&mut self, bits: u32) -> u32 {
        let mut value = 0;
        for _ in 0..bits {
            self.normalize();
            self.range >>= 1;
            let bit = self.code >= self.range;
            if bit {
                self.code -= self.range;
            }
            value = value << 1 | u32::from(bit);
        }
        value
    }
}
