//! The devices of a domain that is destroyed: their backends let go, their nodes removed.

use super::nodes::libxl_path;
use crate::Ctx;
use crate::error::Result;
use crate::xenstore::{Batch, Client, Store, optional};
use libxc::DomId;
use std::collections::BTreeSet;

/// A device as `/libxl/D/device` knows it. Nothing that the guest can write is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// The frontend's kind: `vbd`, `vif`, `console`.
    pub(super) kind: String,
    /// Its number among the devices of its kind.
    pub(super) devid: String,
    /// The backend's directory; `None` for a device without one.
    pub(super) backend: Option<String>,
}

/// The devices of these kinds, in two waits.
pub(super) fn held_by(xs: &Client, domid: DomId, kinds: &[&str]) -> Result<Vec<Held>> {
    if kinds.is_empty() {
        return Ok(Vec::new());
    }
    let root = format!("{}/device", libxl_path(domid));
    let mut batch = Batch::new();
    kinds.iter().for_each(|kind| _ = batch.directory(&format!("{root}/{kind}")));
    let mut devices = Vec::new();
    for (kind, listing) in kinds.iter().zip(xs.submit(batch)?) {
        let listing = optional(listing)?.unwrap_or_default();
        for devid in String::from_utf8_lossy(&listing).split_terminator('\0') {
            devices.push(Held { kind: (*kind).to_owned(), devid: devid.to_owned(), backend: None });
        }
    }
    let backends = xs.read_many(devices.iter().map(|d| format!("{root}/{}/{}/backend", d.kind, d.devid)))?;
    for (device, backend) in devices.iter_mut().zip(backends) {
        device.backend = backend.filter(|path| is_backend_of(path, domid));
    }
    Ok(devices)
}

/// Whether a path is a backend's directory for this domain: `/local/domain/B/backend/KIND/D/DEVID`.
fn is_backend_of(path: &str, domid: DomId) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    matches!(parts[..], ["", "local", "domain", backend, "backend", _, front, _]
        if backend.parse::<u16>().is_ok() && front == domid.to_string())
}

/// Removes backends' nodes, and the directories above them that held nothing else.
pub(super) fn remove(ctx: &Ctx, devices: &[Held]) -> Result<()> {
    let backends: Vec<&str> = devices.iter().filter_map(|d| d.backend.as_deref()).collect();
    if backends.is_empty() {
        return Ok(());
    }
    ctx.xs()?.transaction(|t| {
        let parents = parents(&backends);
        let mut batch = Batch::new();
        backends.iter().for_each(|path| _ = batch.rm(path));
        parents.iter().for_each(|path| _ = batch.directory(path));
        let mut listings = Vec::new();
        for answer in t.submit(batch)?.into_iter().skip(backends.len()) {
            let children = optional(answer)?.unwrap_or_default();
            listings.push(String::from_utf8_lossy(&children).split_terminator('\0').map(str::to_owned).collect());
        }
        let mut batch = Batch::new();
        emptied(&parents, &listings).iter().for_each(|path| _ = batch.rm(path));
        for answer in t.submit(batch)? {
            optional(answer)?;
        }
        Ok(())
    })
}

/// The directories above backends that may be left empty, deepest first: `backend/KIND/D`,
/// `backend/KIND`, `backend`.
fn parents(backends: &[&str]) -> Vec<String> {
    const DIRECTORY_OF_ALL_BACKENDS: usize = 4;
    let mut found = BTreeSet::new();
    for path in backends {
        let parts: Vec<&str> = path.split('/').collect();
        for depth in DIRECTORY_OF_ALL_BACKENDS..parts.len().saturating_sub(1) {
            found.insert((std::cmp::Reverse(depth), parts[..=depth].join("/")));
        }
    }
    found.into_iter().map(|(_, path)| path).collect()
}

/// Which of these directories, deepest first, hold nothing but what is removed with them.
fn emptied(parents: &[String], children: &[Vec<String>]) -> Vec<String> {
    let mut gone: Vec<String> = Vec::new();
    for (path, children) in parents.iter().zip(children) {
        if children.iter().all(|child| gone.contains(&format!("{path}/{child}"))) {
            gone.push(path.clone());
        }
    }
    gone
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_real_backend_path_is_believed() {
        assert!(is_backend_of("/local/domain/0/backend/vbd/3/51712", DomId(3)));
        assert!(!is_backend_of("/local/domain/0/backend/vbd/4/51712", DomId(3)));
        assert!(!is_backend_of("/local/domain/0/memory", DomId(3)));
        assert!(!is_backend_of("/local/domain/0/backend/vbd/3/51712/params", DomId(3)));
    }

    #[test]
    fn directories_that_held_nothing_else_go_too() {
        let parents = parents(&["/local/domain/0/backend/console/5/0", "/local/domain/0/backend/vbd/5/51712"]);
        let root = "/local/domain/0/backend";
        assert_eq!(parents.last().map(String::as_str), Some(root));
        let children = |path: &String| -> Vec<String> {
            let names: &[&str] = match path.strip_prefix(root).unwrap_or_default() {
                "/console/5" | "/vbd/5" => &[],
                "/console" => &["5", "6"],
                "/vbd" => &["5"],
                _ => &["console", "vbd"],
            };
            names.iter().map(|n| (*n).to_owned()).collect()
        };
        let children: Vec<_> = parents.iter().map(children).collect();
        let gone = emptied(&parents, &children);
        assert_eq!(gone, [format!("{root}/console/5"), format!("{root}/vbd/5"), format!("{root}/vbd")]);
    }
}
