//! Sets of small numbers: CPUs, vCPUs, NUMA nodes (`libxl_bitmap`).

use std::fmt;

use serde::de::{Error as _, SeqAccess};

use super::idl::Value;

/// A set of small numbers, laid out as Xen's hypercalls want it: bit `n` is bit `n % 8` of byte `n / 8`.
///
/// It has a size, as a map of a host's CPUs has, and grows when a number beyond it is added. Two sets are equal when
/// they have the same members. In JSON it is the array of its members.
#[derive(Clone, Default)]
pub struct Bitmap {
    bytes: Vec<u8>,
}

impl Bitmap {
    /// The largest size read from JSON: far beyond any host's CPUs, and no strain on memory.
    const MAX_READ: u32 = 1 << 16;

    /// The empty set of no size.
    pub fn new() -> Bitmap {
        Bitmap::default()
    }

    /// The empty set with room for the numbers below `size`.
    pub fn with_size(size: u32) -> Bitmap {
        Bitmap { bytes: vec![0; size.div_ceil(8) as usize] }
    }

    /// The set of all numbers below `size`.
    pub fn full(size: u32) -> Bitmap {
        (0..size).collect()
    }

    /// The set in a hypercall's byte array.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Bitmap {
        Bitmap { bytes: bytes.into() }
    }

    /// The bytes for a hypercall.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many numbers it has room for, a multiple of 8.
    pub fn size(&self) -> u32 {
        self.bytes.len() as u32 * 8
    }

    /// Adds a number.
    pub fn insert(&mut self, number: u32) {
        let byte = (number / 8) as usize;
        if byte >= self.bytes.len() {
            self.bytes.resize(byte + 1, 0);
        }
        self.bytes[byte] |= 1 << (number % 8);
    }

    /// Takes a number out.
    pub fn remove(&mut self, number: u32) {
        if let Some(byte) = self.bytes.get_mut((number / 8) as usize) {
            *byte &= !(1 << (number % 8));
        }
    }

    /// Whether the number is a member.
    pub fn contains(&self, number: u32) -> bool {
        self.bytes.get((number / 8) as usize).is_some_and(|byte| byte & (1 << (number % 8)) != 0)
    }

    /// The members, in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.bytes
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte != 0)
            .flat_map(|(i, byte)| (0..8).filter(move |bit| byte & (1 << bit) != 0).map(move |bit| i as u32 * 8 + bit))
    }

    /// How many members there are.
    pub fn count(&self) -> u32 {
        self.bytes.iter().map(|byte| byte.count_ones()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.iter().all(|byte| *byte == 0)
    }

    /// The smallest member.
    pub fn first(&self) -> Option<u32> {
        self.iter().next()
    }

    /// The largest member.
    pub fn last(&self) -> Option<u32> {
        self.iter().last()
    }

    /// The numbers in both sets.
    pub fn intersection(&self, other: &Bitmap) -> Bitmap {
        Bitmap { bytes: self.bytes.iter().zip(&other.bytes).map(|(a, b)| a & b).collect() }
    }

    /// The numbers in either set.
    pub fn union(&self, other: &Bitmap) -> Bitmap {
        self.iter().chain(other.iter()).collect()
    }

    /// Whether every member is one of `other`.
    pub fn is_subset(&self, other: &Bitmap) -> bool {
        self.iter().all(|number| other.contains(number))
    }
}

impl PartialEq for Bitmap {
    fn eq(&self, other: &Bitmap) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Bitmap {}

impl fmt::Debug for Bitmap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl FromIterator<u32> for Bitmap {
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> Bitmap {
        let mut out = Bitmap::new();
        out.extend(numbers);
        out
    }
}

impl Extend<u32> for Bitmap {
    fn extend<I: IntoIterator<Item = u32>>(&mut self, numbers: I) {
        for number in numbers {
            self.insert(number);
        }
    }
}

impl serde::Serialize for Bitmap {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> serde::Deserialize<'de> for Bitmap {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Numbers;
        impl<'de> serde::de::Visitor<'de> for Numbers {
            type Value = Bitmap;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of bit numbers")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut numbers: A) -> Result<Bitmap, A::Error> {
                let mut out = Bitmap::new();
                while let Some(number) = numbers.next_element::<u32>()? {
                    if number >= Bitmap::MAX_READ {
                        return Err(A::Error::custom(format!("bit {number} is too large for a bitmap")));
                    }
                    out.insert(number);
                }
                Ok(out)
            }
        }
        deserializer.deserialize_seq(Numbers)
    }
}

impl Value for Bitmap {
    fn is_omitted(&self) -> bool {
        self.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_and_layout() {
        let mut set: Bitmap = [0, 3, 9].into_iter().collect();
        assert_eq!(set.as_bytes(), [0b1001, 0b10]);
        assert!(set.contains(9) && !set.contains(8) && !set.contains(5000));
        set.remove(9);
        assert_eq!(set, [3, 0].into_iter().collect());
        assert_eq!((set.count(), set.first(), set.last()), (2, Some(0), Some(3)));
    }

    #[test]
    fn set_algebra_minds_different_sizes() {
        let small: Bitmap = [1, 2].into_iter().collect();
        let large: Bitmap = [2, 40].into_iter().collect();
        assert_eq!(small.intersection(&large), [2].into_iter().collect());
        assert_eq!(large.union(&small), [1, 2, 40].into_iter().collect());
        assert!(!large.is_subset(&small) && small.is_subset(&Bitmap::full(3)));
    }

    #[test]
    fn an_absurd_bit_number_is_refused() {
        let error = serde_json::from_str::<Bitmap>("[4294967295]").unwrap_err();
        assert!(error.to_string().contains("4294967295"), "{error}");
    }
}
