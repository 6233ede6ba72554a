//! A domain's memory: `mem-set`, `mem-max`.

use crate::cli::Run;
use crate::failure::Failure;
use crate::session::Session;
use clap::Args;
use libxc::Kib;
use libxl::domain::balloon;

/// `xl mem-set`.
#[derive(Args)]
pub(crate) struct MemSet {
    /// Name or number of the domain
    domain: String,
    /// The amount: MiB, or with the letter b, k, m, g or t
    size: String,
}

impl Run for MemSet {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let domid = session.domain(&self.domain)?;
        Ok(balloon::set_target(&session.ctx, domid, size(&self.size)?)?)
    }
}

/// `xl mem-max`.
#[derive(Args)]
pub(crate) struct MemMax {
    /// Name or number of the domain
    domain: String,
    /// The amount: MiB, or with the letter b, k, m, g or t
    size: String,
}

impl Run for MemMax {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let domid = session.domain(&self.domain)?;
        Ok(balloon::set_max(&session.ctx, domid, size(&self.size)?)?)
    }
}

/// Reads an amount of memory: MiB, or in the unit of the letter after it.
fn size(text: &str) -> Result<Kib, Failure> {
    let invalid = || Failure::new(1, format!("\"{text}\" is no amount of memory (512, 512m, 2g, 65536k)"));
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = digits.parse().map_err(|_| invalid())?;
    let kib = match unit.to_ascii_lowercase().as_str() {
        "b" => Some(number / 1024),
        "k" => Some(number),
        "" | "m" => number.checked_mul(1 << 10),
        "g" => number.checked_mul(1 << 20),
        "t" => number.checked_mul(1 << 30),
        _ => None,
    };
    kib.map(Kib).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_mib_or_have_a_unit() {
        let kib = |text| size(text).map(|kib| kib.0).ok();
        assert_eq!(kib("120"), Some(120 << 10));
        assert_eq!(kib("120m"), Some(120 << 10));
        assert_eq!(kib("2G"), Some(2 << 20));
        assert_eq!(kib("1t"), Some(1 << 30));
        assert_eq!(kib("65536k"), Some(65536));
        assert_eq!(kib("4096b"), Some(4));
        for bad in ["", "m", "12mb", "-1", "12x", "99999999999999999999", "18446744073709551615t"] {
            assert_eq!(kib(bad), None, "{bad}");
        }
    }
}
