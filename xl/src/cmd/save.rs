//! A guest's state: saved, restored, suspended in memory, written to a core file.

use crate::cli::Run;
use crate::cmd::create::{Life, let_run};
use crate::cmd::vncviewer::Viewer;
use crate::failure::Failure;
use crate::guard::Guard;
use crate::monitor::Watching;
use crate::output::Format;
use crate::output::progress::Progress;
use crate::saved::{self, Saved, Taken};
use crate::session::Session;
use crate::{autoballoon, saved_file};
use clap::Args;
use libxl::Ctx;
use libxl::domain::restore::Stream;
use libxl::domain::suspend::Hold;
use libxl::domain::{self, control, coredump, save};
use libxl::event::Deadline;
use libxl::stream_filter::Compression;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;

/// `xl save`.
#[derive(Args)]
pub(crate) struct Save {
    /// Leave the domain running
    #[arg(short = 'c')]
    checkpoint: bool,
    /// Leave the domain paused
    #[arg(short = 'p')]
    paused: bool,
    /// Keep the domain's number in the file
    #[arg(short = 'D')]
    keep_domid: bool,
    /// Compress the file: zstd, zstd:LEVEL (1 to 19) or lz4. Stock xl cannot restore it
    #[arg(long, value_name = "METHOD")]
    compress: Option<Compression>,
    #[command(flatten)]
    format: Format,
    /// Name or number of the domain
    domain: String,
    /// The file (- for standard output)
    #[arg(value_name = "CheckpointFile")]
    file: String,
    /// A configuration to save instead of the domain's own
    #[arg(value_name = "ConfigFile")]
    config: Option<String>,
}

impl Run for Save {
    fn run(self, session: &Session) -> Result<(), Failure> {
        if self.file == "-" && self.format.is_json() {
            return Err(Failure::new(1, "-o json: standard output takes the guest already (give a file's name)"));
        }
        let domid = session.domain(&self.domain)?;
        let hold = Hold::of(&session.ctx, domid)?;
        let taken = Taken { file: self.config.as_deref(), keep_domid: self.keep_domid };
        let config = saved::config(session, domid, &taken)?;
        // Before signals are held back: opening a pipe waits for who reads it.
        let file = saved_file::Pending::create(&self.file)?;
        let goes = !(self.checkpoint || self.paused);
        // Who reads a pipe may start the guest before this process knows that all of it is written.
        let guard = (!goes || file.is_apart()).then(|| Guard::of_held(&hold)).transpose()?;
        let session = session.cancellable()?;
        saved::write(file.as_file(), &self.file, &config, self.compress.is_some())?;
        let mut progress = Progress::in_format(&self.format, &session.globals);
        let options = save::Options { compression: self.compress, ..save::Options::default() };
        save(&session.ctx, &hold, file.as_file().as_fd(), options, &mut |what, done, total| {
            progress.show(what, done, total);
        })?;
        drop(progress);
        // The guest is suspended and goes nowhere before its file is safe; from then on it is in the file.
        if goes && let Some(guard) = &guard {
            guard.given();
        }
        if let Err(failure) = file.keep() {
            hold.put_back(&session.ctx)?;
            return Err(failure);
        }
        session.ctx.undisturbed(|| self.afterwards(&session.ctx, &hold))
    }
}

impl Save {
    /// What becomes of a guest that is in its file now.
    fn afterwards(&self, ctx: &Ctx, hold: &Hold) -> Result<(), Failure> {
        if !(self.checkpoint || self.paused) {
            return Ok(domain::destroy(ctx, hold.domid())?);
        }
        if self.paused {
            control::pause(ctx, hold.domid())?;
        }
        Ok(hold.resume(ctx)?)
    }
}

/// `xl restore`.
#[derive(Args)]
pub(crate) struct Restore {
    /// Run in the foreground until the death of the domain
    #[arg(short = 'F')]
    foreground: bool,
    /// Connect to the console
    #[arg(short = 'c')]
    console: bool,
    /// Leave the domain paused
    #[arg(short = 'p')]
    paused: bool,
    /// Show the configuration on standard error
    #[arg(short = 'd')]
    debug: bool,
    /// Do not wait in the background for the death of the domain
    #[arg(short = 'e')]
    no_monitor: bool,
    #[command(flatten)]
    viewer: Viewer,
    /// [ConfigFile] CheckpointFile (- for standard input)
    #[arg(required = true, num_args = 1..=2, value_name = "file")]
    files: Vec<String>,
}

impl Run for Restore {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let (config, file) = match &self.files[..] {
            [config, file] => (Some(config.as_str()), file.as_str()),
            files => (None, files.first().map_or("", String::as_str)),
        };
        let from = open(file)?;
        let Saved { loaded, form } = saved::read(session, &from, file, config)?;
        if self.debug {
            eprint!("{}", loaded.shown()?);
        }
        let name = loaded.config.c_info.name.clone().unwrap_or_default();
        let domid = {
            let session = session.cancellable()?;
            let stream = Stream { from: from.as_fd(), form, checkpoints: false };
            let (guard, mut progress) = (Guard::start()?, Progress::new(&session.globals));
            autoballoon::restore(&session.ctx, &loaded.xl_conf, loaded.config, stream, &guard, &mut progress)?
        };
        let watching = Watching::of(self.no_monitor, self.foreground);
        let_run(
            session,
            domid,
            &name,
            Life { paused: self.paused, console: self.console, viewer: self.viewer, watching },
        )
    }
}

/// Opens a saved guest's file.
fn open(file: &str) -> Result<File, Failure> {
    let opened = match file {
        "-" => std::io::stdin().as_fd().try_clone_to_owned().map(File::from),
        path => File::open(path),
    };
    opened.map_err(|e| Failure::new(1, format!("cannot open {file}: {}", libxc::reason(&e))))
}

/// `xl dump-core`.
#[derive(Args)]
pub(crate) struct DumpCore {
    /// Name or number of the domain
    domain: String,
    /// The file
    #[arg(value_name = "filename")]
    file: PathBuf,
}

impl Run for DumpCore {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let domid = session.domain(&self.domain)?;
        Ok(coredump::write(&session.ctx, domid, &self.file)?)
    }
}

/// `xl suspend`.
#[derive(Args)]
pub(crate) struct Suspend {
    /// Name or number of the domain
    domain: String,
}

impl Run for Suspend {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let domid = session.domain(&self.domain)?;
        let session = session.cancellable()?;
        let ctx = &session.ctx;
        let hold = Hold::of(ctx, domid)?;
        Ok(hold.suspend(ctx, Deadline::NEVER).map_err(|e| hold.fail(ctx, e))?)
    }
}

/// `xl resume`.
#[derive(Args)]
pub(crate) struct Resume {
    /// Name or number of the domain
    domain: String,
}

impl Run for Resume {
    fn run(self, session: &Session) -> Result<(), Failure> {
        let domid = session.domain(&self.domain)?;
        Ok(Hold::of(&session.ctx, domid)?.resume(&session.ctx)?)
    }
}
