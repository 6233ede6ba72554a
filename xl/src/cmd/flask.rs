//! The Flask security module: `getenforce`, `setenforce`, `loadpolicy`.

use crate::cli::Run;
use crate::failure::Failure;
use crate::output;
use crate::session::Session;
use clap::Args;
use std::path::PathBuf;

/// What stock xl ends with when libxl returned -1.
const FAILED: u8 = 255;

/// `xl getenforce`.
#[derive(Args)]
pub(crate) struct Getenforce {}

impl Run for Getenforce {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let enforcing = session.ctx.xc()?.is_flask_enforcing().map_err(libxl::Error::from);
        let (text, status) = match enforcing.map_err(|e| Failure::from(e).with_status(FAILED))? {
            Some(true) => ("Enforcing\n", 1),
            Some(false) => ("Permissive\n", 0),
            None => ("Flask XSM Disabled\n", FAILED),
        };
        output::print(text)?;
        if status == 0 { Ok(()) } else { Err(Failure::silent(status)) }
    }
}

/// `xl setenforce`.
#[derive(Args)]
pub(crate) struct Setenforce {
    /// 1 or enforcing, 0 or permissive
    mode: String,
}

impl Run for Setenforce {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let enforcing = match self.mode.to_ascii_lowercase().as_str() {
            "0" | "permissive" => false,
            "1" | "enforcing" => true,
            _ => return Err(Failure::new(2, format!("\"{}\" is no mode: 0, 1, permissive or enforcing", self.mode))),
        };
        let set = session.ctx.xc()?.set_flask_enforcing(enforcing);
        set.map_err(|e| Failure::new(FAILED, format!("setting Flask's mode: {e}")))
    }
}

/// `xl loadpolicy`.
#[derive(Args)]
pub(crate) struct Loadpolicy {
    /// The compiled policy
    file: PathBuf,
}

impl Run for Loadpolicy {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let xc = session.ctx.xc()?;
        let failed = |e: &dyn std::fmt::Display| Failure::new(FAILED, format!("policy {}: {e}", self.file.display()));
        let policy = std::fs::read(&self.file).map_err(|e| failed(&e))?;
        xc.load_flask_policy(&policy).map_err(|e| failed(&e))?;
        output::print("Successfully loaded policy.\n")
    }
}
