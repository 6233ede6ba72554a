//! A switch that may be left to the default (`libxl_defbool`).

use std::fmt;
use std::str::FromStr;

use super::idl::{Value, parse_string};

/// On, off, or left to the default; `"True"` and `"False"` in JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DefBool(Option<bool>);

impl DefBool {
    /// Left to the default.
    pub const DEFAULT: DefBool = DefBool(None);
    /// On.
    pub const TRUE: DefBool = DefBool(Some(true));
    /// Off.
    pub const FALSE: DefBool = DefBool(Some(false));

    /// Whether nobody has decided yet.
    pub fn is_default(self) -> bool {
        self.0.is_none()
    }

    /// What was decided, if anything.
    pub fn get(self) -> Option<bool> {
        self.0
    }

    /// What was decided, or else this.
    pub fn or(self, default: bool) -> bool {
        self.0.unwrap_or(default)
    }

    /// Whether it was decided to be on.
    pub fn is_true(self) -> bool {
        self.0 == Some(true)
    }

    /// Decides it if nobody has yet (`libxl_defbool_setdefault`), and says what it is now.
    pub fn set_default(&mut self, default: bool) -> bool {
        *self.0.get_or_insert(default)
    }
}

impl From<bool> for DefBool {
    fn from(value: bool) -> DefBool {
        DefBool(Some(value))
    }
}

impl From<Option<bool>> for DefBool {
    fn from(value: Option<bool>) -> DefBool {
        DefBool(value)
    }
}

impl fmt::Display for DefBool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self.0 {
            None => "<default>",
            Some(true) => "True",
            Some(false) => "False",
        })
    }
}

impl FromStr for DefBool {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<DefBool, &'static str> {
        match text {
            "<default>" => Ok(DefBool::DEFAULT),
            "True" => Ok(DefBool::TRUE),
            "False" => Ok(DefBool::FALSE),
            _ => Err("expected \"True\" or \"False\""),
        }
    }
}

impl serde::Serialize for DefBool {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for DefBool {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse_string(deserializer)
    }
}

impl Value for DefBool {
    fn is_omitted(&self) -> bool {
        self.is_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_stands() {
        let mut switch = DefBool::FALSE;
        assert!(!switch.set_default(true));
        assert_eq!(switch, DefBool::FALSE);
        let mut open = DefBool::DEFAULT;
        assert!(open.set_default(true));
        assert_eq!(open, DefBool::TRUE);
    }
}
