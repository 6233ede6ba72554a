//! How libxl's types stand in Rust and in JSON (libxl's `idl.txt` and `gentypes.py` set the rules).
//!
//! - An object leaves out every field that has the value of a new object; objects inside objects are always there.
//! - An enumeration is its lower-case name; reading does not mind the case.
//! - A keyed union is one more field of its parent, whose key names the arm: `"type.hvm": {...}`.
//! - Reading ignores keys it does not know, and a missing key leaves the default.
//!
//! [`record!`], [`names!`] and [`keyed_union!`] declare types that follow them, so that a declaration is a list of
//! documented fields and nothing else.

use serde::de::{Deserialize, DeserializeOwned, MapAccess};
use serde::ser::{Serialize, SerializeMap};

/// A value that can be a field: what `libxl_*_gen_json` and `libxl_*_parse_json` do for its type.
pub(super) trait Value: Serialize + DeserializeOwned {
    /// Whether an object leaves the field out, because the value is that of a new object.
    fn is_omitted(&self) -> bool;
}

/// A field of an object: usually one key and its [`Value`]; for unions and groups of fields, keys of their own.
pub(super) trait Field {
    /// Adds what stands in the object for this field.
    fn write<M: SerializeMap>(&self, name: &'static str, object: &mut M) -> Result<(), M::Error>;

    /// Takes the value of `key` from the object if the key is this field's, and tells whether it was.
    fn read<'de, A: MapAccess<'de>>(&mut self, name: &str, key: &str, object: &mut A) -> Result<bool, A::Error>;
}

impl<T: Value> Field for T {
    fn write<M: SerializeMap>(&self, name: &'static str, object: &mut M) -> Result<(), M::Error> {
        if self.is_omitted() { Ok(()) } else { object.serialize_entry(name, self) }
    }

    fn read<'de, A: MapAccess<'de>>(&mut self, name: &str, key: &str, object: &mut A) -> Result<bool, A::Error> {
        if name != key {
            return Ok(false);
        }
        *self = object.next_value()?;
        Ok(true)
    }
}

/// Lets an object leave a field of the type out when it has the type's default.
macro_rules! omit_default {
    ($($ty:ty),* $(,)?) => {
        $(impl $crate::types::idl::Value for $ty {
            fn is_omitted(&self) -> bool {
                *self == <$ty>::default()
            }
        })*
    };
}
omit_default!(bool, u8, u16, u32, u64, i32, uuid::Uuid);

impl<T: Serialize + DeserializeOwned> Value for Option<T> {
    fn is_omitted(&self) -> bool {
        self.is_none()
    }
}

impl<T: Serialize + DeserializeOwned> Value for Vec<T> {
    fn is_omitted(&self) -> bool {
        self.is_empty()
    }
}

/// An object key, borrowed from the text where that can be done.
pub(super) struct Key<'de>(pub(super) std::borrow::Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> serde::de::Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(key.into()))
            }
            fn visit_str<E>(self, key: &str) -> Result<Key<'de>, E> {
                Ok(Key(key.to_owned().into()))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

/// Declares a structure of the IDL: public documented fields, in the IDL's order.
///
/// A key that is a Rust keyword is named with `as`: `type_ as "type": DomainType`.
macro_rules! record {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $($(#[$field_meta:meta])* $field:ident $(as $key:literal)? : $ty:ty,)*
        }
    ) => {
        fields! {
            $(#[$meta])*
            pub struct $name {
                $($(#[$field_meta])* $field $(as $key)? : $ty,)*
            }
        }

        impl $crate::types::idl::Value for $name {
            fn is_omitted(&self) -> bool {
                false
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap;
                let mut object = serializer.serialize_map(None)?;
                self.write_fields(&mut object)?;
                object.end()
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Object;
                impl<'de> serde::de::Visitor<'de> for Object {
                    type Value = $name;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }
                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut object: A) -> Result<$name, A::Error> {
                        let mut out = <$name>::default();
                        while let Some($crate::types::idl::Key(key)) = object.next_key()? {
                            if !out.read_field(&key, &mut object)? {
                                object.next_value::<serde::de::IgnoredAny>()?;
                            }
                        }
                        Ok(out)
                    }
                }
                deserializer.deserialize_map(Object)
            }
        }
    };
}

/// Declares fields that libxl has in the parent structure itself, and that are better read as a group.
macro_rules! group {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $($(#[$field_meta:meta])* $field:ident $(as $key:literal)? : $ty:ty,)*
        }
    ) => {
        fields! {
            $(#[$meta])*
            pub struct $name {
                $($(#[$field_meta])* $field $(as $key)? : $ty,)*
            }
        }

        impl $crate::types::idl::Field for $name {
            fn write<M: serde::ser::SerializeMap>(&self, _: &'static str, object: &mut M) -> Result<(), M::Error> {
                self.write_fields(object)
            }

            fn read<'de, A: serde::de::MapAccess<'de>>(
                &mut self, _: &str, key: &str, object: &mut A,
            ) -> Result<bool, A::Error> {
                self.read_field(key, object)
            }
        }
    };
}

/// The structure itself, and the fields written and read one by one: what [`record!`] and [`group!`] share.
macro_rules! fields {
    (@key $field:ident) => { stringify!($field) };
    (@key $field:ident $key:literal) => { $key };
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $($(#[$field_meta:meta])* $field:ident $(as $key:literal)? : $ty:ty,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $ty,)*
        }

        impl $name {
            fn write_fields<M: serde::ser::SerializeMap>(&self, object: &mut M) -> Result<(), M::Error> {
                use $crate::types::idl::Field;
                $(self.$field.write(fields!(@key $field $($key)?), object)?;)*
                Ok(())
            }

            fn read_field<'de, A: serde::de::MapAccess<'de>>(
                &mut self, key: &str, object: &mut A,
            ) -> Result<bool, A::Error> {
                use $crate::types::idl::Field;
                Ok($(self.$field.read(fields!(@key $field $($key)?), key, object)? ||)* false)
            }
        }
    };
}

/// Declares an enumeration of the IDL: each variant with libxl's number and its lower-case name.
///
/// `default X` names the value of a new object, where the IDL has one.
macro_rules! names {
    (
        $(#[$meta:meta])*
        pub enum $name:ident $(default $default:ident)? {
            $($(#[$variant_meta:meta])* $variant:ident = $number:literal $text:literal,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(i32)]
        #[allow(missing_docs, reason = "the names are libxl's own")]
        pub enum $name {
            $($(#[$variant_meta])* $variant = $number,)*
        }

        impl $name {
            /// Every value, in the IDL's order.
            pub const ALL: &[$name] = &[$($name::$variant,)*];

            /// libxl's name, as in its JSON.
            pub fn name(self) -> &'static str {
                match self {
                    $($name::$variant => $text,)*
                }
            }

            /// libxl's number.
            pub fn number(self) -> i32 {
                self as i32
            }

            /// The value with libxl's number.
            pub fn from_number(number: i32) -> Option<$name> {
                Self::ALL.iter().copied().find(|v| v.number() == number)
            }
        }

        $(impl Default for $name {
            fn default() -> Self {
                $name::$default
            }
        }

        impl $crate::types::idl::Value for $name {
            fn is_omitted(&self) -> bool {
                *self == $name::$default
            }
        })?

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::types::UnknownName;

            /// Reads a name in any case, as `libxl_*_from_string` does.
            fn from_str(text: &str) -> Result<$name, $crate::types::UnknownName> {
                Self::ALL.iter().copied().find(|v| v.name().eq_ignore_ascii_case(text)).ok_or_else(|| {
                    $crate::types::UnknownName { given: text.to_owned(), known: &[$($text,)*] }
                })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::types::idl::parse_string(deserializer)
            }
        }
    };
}

/// Declares a union that a field of the parent selects: arms with a structure, then, after `;`, arms without.
///
/// The selecting field is the Rust variant; its key in the parent is `NAME.ARM`, and arms without a structure are an
/// empty object there. `Option` of the union stands where libxl has no name for "none".
macro_rules! keyed_union {
    (
        $(#[$meta:meta])*
        pub enum $name:ident {
            $($(#[$arm_meta:meta])* $arm:ident($ty:ty) = $key:literal),* ;
            $($(#[$unit_meta:meta])* $unit:ident = $unit_key:literal),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub enum $name {
            $($(#[$arm_meta])* $arm($ty),)*
            $($(#[$unit_meta])* $unit,)*
        }

        impl $crate::types::idl::Field for $name {
            fn write<M: serde::ser::SerializeMap>(&self, _: &'static str, object: &mut M) -> Result<(), M::Error> {
                match self {
                    $($name::$arm(inner) => object.serialize_entry($key, inner),)*
                    $($name::$unit => object.serialize_entry($unit_key, &$crate::types::idl::Empty),)*
                }
            }

            fn read<'de, A: serde::de::MapAccess<'de>>(
                &mut self, _: &str, key: &str, object: &mut A,
            ) -> Result<bool, A::Error> {
                match key {
                    $($key => *self = $name::$arm(object.next_value()?),)*
                    $($unit_key => {
                        object.next_value::<serde::de::IgnoredAny>()?;
                        *self = $name::$unit;
                    })*
                    _ => return Ok(false),
                }
                Ok(true)
            }
        }
    };
    (
        $(#[$meta:meta])*
        pub enum $name:ident optional {
            $(#[$first_meta:meta])*
            $first:ident($first_ty:ty) = $($rest:tt)*
        }
    ) => {
        keyed_union! {
            $(#[$meta])*
            pub enum $name {
                $(#[$first_meta])*
                $first($first_ty) = $($rest)*
            }
        }

        impl $crate::types::idl::Field for Option<$name> {
            fn write<M: serde::ser::SerializeMap>(&self, name: &'static str, object: &mut M) -> Result<(), M::Error> {
                self.as_ref().map_or(Ok(()), |arm| arm.write(name, object))
            }

            fn read<'de, A: serde::de::MapAccess<'de>>(
                &mut self, name: &str, key: &str, object: &mut A,
            ) -> Result<bool, A::Error> {
                let mut arm = $name::$first(Default::default());
                let is_mine = arm.read(name, key, object)?;
                if is_mine {
                    *self = Some(arm);
                }
                Ok(is_mine)
            }
        }
    };
}

/// The object of a union's arm that holds nothing.
pub(super) struct Empty;

impl Serialize for Empty {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_map(Some(0))?.end()
    }
}

/// Reads a value that stands in JSON as a string with its own syntax.
pub(crate) fn parse_string<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
    D: serde::Deserializer<'de>,
{
    let Key(text) = Key::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

pub(crate) use names;
