//! Small types that libxl's IDL takes as given: addresses, identifiers, lists.

use std::fmt;
use std::str::FromStr;

use serde::de::{Error as _, MapAccess};
use serde::ser::SerializeMap;

use super::idl::{Value, parse_string};

pub use uuid::Uuid;

/// The domain number that stands for "no domain" in 32-bit fields (`INVALID_DOMID`).
pub const INVALID_DOMID: u32 = u32::MAX;

/// A name that an enumeration does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownName {
    /// What was given.
    pub given: String,
    /// The names there are.
    pub known: &'static [&'static str],
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown name \"{}\", expected one of {}", self.given, self.known.join(", "))
    }
}

impl std::error::Error for UnknownName {}

/// An Ethernet address (`libxl_mac`); all zeroes means none was chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = String;

    /// Reads six hexadecimal bytes separated by colons.
    fn from_str(text: &str) -> Result<Mac, String> {
        let wrong = || format!("\"{text}\" is not an Ethernet address (six hexadecimal bytes separated by ':')");
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|p| p.len() <= 2 && !p.starts_with('+')).ok_or_else(wrong)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
        }
        if parts.next().is_some() { Err(wrong()) } else { Ok(Mac(bytes)) }
    }
}

impl serde::Serialize for Mac {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Mac {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse_string(deserializer)
    }
}

/// The CPU feature words of a host (`libxl_hwcap`), of which the JSON has the first four only, as libxl's has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HwCap(pub [u32; 8]);

impl serde::Serialize for HwCap {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.0[..4])
    }
}

impl<'de> serde::Deserialize<'de> for HwCap {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let [a, b, c, d] = FirstOf::<u32, 4>::deserialize(deserializer)?.0;
        Ok(HwCap([a, b, c, d, 0, 0, 0, 0]))
    }
}

/// The generation ID of a virtual machine (`libxl_ms_vm_genid`), which Windows guests watch; all zeroes means none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MsVmGenid(pub [u8; 16]);

impl serde::Serialize for MsVmGenid {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0)
    }
}

impl<'de> serde::Deserialize<'de> for MsVmGenid {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(MsVmGenid(FirstOf::<u8, 16>::deserialize(deserializer)?.0))
    }
}

/// The first N numbers of an array; more may follow, fewer are an error.
struct FirstOf<T, const N: usize>([T; N]);

impl<'de, T: Copy + Default + serde::Deserialize<'de>, const N: usize> serde::Deserialize<'de> for FirstOf<T, N> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let numbers = Vec::<T>::deserialize(deserializer)?;
        let first =
            numbers.first_chunk::<N>().ok_or_else(|| D::Error::invalid_length(numbers.len(), &"more numbers"))?;
        Ok(FirstOf(*first))
    }
}

/// Pairs of names and values in the order given (`libxl_key_value_list`); a value may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyValueList(pub Vec<(String, Option<String>)>);

impl KeyValueList {
    /// The value of the first pair with this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).and_then(|(_, value)| value.as_deref())
    }
}

impl serde::Serialize for KeyValueList {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        for (key, value) in &self.0 {
            object.serialize_entry(key, value)?;
        }
        object.end()
    }
}

impl<'de> serde::Deserialize<'de> for KeyValueList {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> serde::de::Visitor<'de> for Pairs {
            type Value = KeyValueList;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<KeyValueList, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = object.next_entry()? {
                    pairs.push(pair);
                }
                Ok(KeyValueList(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

impl Value for KeyValueList {
    fn is_omitted(&self) -> bool {
        self.0.is_empty()
    }
}

omit_default!(Mac, HwCap, MsVmGenid);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ethernet_addresses() {
        assert_eq!("00:16:3E:1:22:ff".parse(), Ok(Mac([0, 0x16, 0x3e, 1, 0x22, 0xff])));
        assert_eq!(Mac([0, 0x16, 0x3e, 1, 0x22, 0xff]).to_string(), "00:16:3e:01:22:ff");
        for wrong in ["", "00:16:3e:11:22", "00:16:3e:11:22:33:44", "00:16:3e:11:22:+3", "00:16:3e:11:22:333"] {
            assert!(wrong.parse::<Mac>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_short_generation_id_is_refused() {
        assert!(serde_json::from_str::<MsVmGenid>("[1,2,3]").is_err());
    }
}
