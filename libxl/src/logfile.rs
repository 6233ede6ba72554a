//! Log files of domains and daemons, with the last ten kept: `NAME.log`, `NAME.log.1` .. `NAME.log.10`.

use crate::ctx::Ctx;
use crate::error::{Error, Result, ResultExt};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// How many old logs are kept.
const KEPT: u32 = 10;

/// Opens a new log of this name for appending, after making the older ones one older. Gives the path
/// also, for messages that point to it.
pub fn create(ctx: &Ctx, name: &str) -> Result<(File, PathBuf)> {
    if name.contains(['/', '\0']) {
        return Err(Error::invalid(format!("{name:?} is no name for a log file")));
    }
    let path = ctx.paths.log.join(format!("{name}.log"));
    rotate(&path).with_context(|| format!("rotating {}", path.display()))?;
    let file = OpenOptions::new().append(true).create(true).mode(0o644).open(&path);
    Ok((file.with_context(|| format!("opening {}", path.display()))?, path))
}

fn rotate(path: &Path) -> io::Result<()> {
    if !path.try_exists()? {
        return Ok(());
    }
    let older = |age: u32| match age {
        0 => path.to_owned(),
        _ => PathBuf::from(format!("{}.{age}", path.display())),
    };
    for age in (0..KEPT).rev() {
        match fs::rename(older(age), older(age + 1)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::Paths;
    use std::io::Write;

    #[test]
    fn ten_old_logs_are_kept() {
        let root = tempfile::tempdir().unwrap();
        let ctx = Ctx::new(Paths::installed(Path::new("/usr")).rooted(root.path()));
        fs::create_dir_all(&ctx.paths.log).unwrap();
        for run in 0..13 {
            let (mut file, path) = create(&ctx, "xl-web1").unwrap();
            assert_eq!(path, ctx.paths.log.join("xl-web1.log"));
            write!(file, "run {run}").unwrap();
        }
        let log = |suffix: &str| fs::read_to_string(ctx.paths.log.join(format!("xl-web1.log{suffix}"))).ok();
        assert_eq!(log(""), Some("run 12".into()));
        assert_eq!(log(".1"), Some("run 11".into()));
        assert_eq!(log(".10"), Some("run 2".into()));
        assert_eq!(log(".11"), None);
    }

    #[test]
    fn a_name_cannot_leave_the_directory() {
        let ctx = Ctx::new(Paths::installed(Path::new("/usr")));
        assert!(create(&ctx, "../../etc/x").is_err());
    }
}
