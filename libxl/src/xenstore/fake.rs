//! A small xenstored in a thread, for tests: nodes, permissions, transactions that conflict, watches,
//! listings in parts. It answers as C xenstored 4.17 does, header and payload in two writes.

use super::wire::{HEADER_LEN, Header, Kind, PAYLOAD_MAX, check_path};
use super::{Client, Perms};
use crate::{Ctx, Paths};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

/// The database, shared by all connections.
#[derive(Clone, Default)]
pub(crate) struct Fake {
    state: Arc<Mutex<State>>,
}

type Tree = BTreeMap<String, (Vec<u8>, Perms)>;

#[derive(Default)]
struct State {
    tree: Tree,
    generation: u64,
    introduced: BTreeSet<String>,
    /// Open transactions: their copy of the tree, the generation it was taken at, what they changed.
    transactions: HashMap<u32, (Tree, u64, Vec<String>)>,
    last_transaction: u32,
    watches: Vec<(String, String, UnixStream)>,
    /// Commits to refuse with EAGAIN, whatever happened.
    pub(crate) refuse_commits: u32,
}

impl Fake {
    pub(crate) fn new() -> Fake {
        Fake::default()
    }

    /// A client of this database on a connection of its own.
    pub(crate) fn connect(&self) -> Client {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let fake = self.clone();
        thread::spawn(move || fake.serve(theirs));
        Client::from_socket(ours).unwrap()
    }

    /// A toolstack on a host with this database.
    pub(crate) fn ctx(&self) -> Ctx {
        Ctx::new(Paths::installed(Path::new("/usr"))).with_xs(self.connect())
    }

    pub(crate) fn refuse_commits(&self, times: u32) {
        self.lock().refuse_commits = times;
    }

    /// Sets a value as somebody else would, firing watches.
    pub(crate) fn set(&self, path: &str, value: &[u8]) {
        let mut state = self.lock();
        write(&mut state.tree, path, value);
        state.changed(&[path.to_owned()]);
    }

    /// A value, if the node exists.
    pub(crate) fn get(&self, path: &str) -> Option<Vec<u8>> {
        self.lock().tree.get(path).map(|(value, _)| value.clone())
    }

    /// Every node below a path as `xenstore-ls -fp` prints it.
    pub(crate) fn dump(&self, below: &str) -> Vec<String> {
        let state = self.lock();
        let nodes = state.tree.iter().filter(|(path, _)| is_below(path, below));
        nodes.map(|(path, (value, perms))| format!("{path} = {:?}   {perms}", String::from_utf8_lossy(value))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn serve(&self, mut stream: UnixStream) {
        let mut head = [0; HEADER_LEN];
        while stream.read_exact(&mut head).is_ok() {
            let header = Header::decode(&head).unwrap();
            let mut payload = vec![0; header.len];
            stream.read_exact(&mut payload).unwrap();
            let mut state = self.lock();
            let (answer, changed) = match state.answer(&header, &payload, &stream) {
                Ok((answer, changed)) => (send(&mut stream, header, header.kind, &answer), changed),
                Err(name) => (send(&mut stream, header, Kind::Error, format!("{name}\0").as_bytes()), Vec::new()),
            };
            if answer.is_err() {
                break;
            }
            state.changed(&changed);
            if header.kind == Kind::Watch {
                let words = words(&payload);
                state.fire(words[0], words[1], words[0]);
            }
        }
    }
}

fn send(stream: &mut UnixStream, header: Header, kind: Kind, payload: &[u8]) -> std::io::Result<()> {
    stream.write_all(&Header { kind, len: payload.len(), ..header }.encode())?;
    stream.write_all(payload)
}

fn words(payload: &[u8]) -> Vec<&str> {
    let body = payload.strip_suffix(&[0]).unwrap_or(payload);
    body.split(|b| *b == 0).map(|w| std::str::from_utf8(w).unwrap()).collect()
}

fn is_below(path: &str, parent: &str) -> bool {
    parent == "/" || path == parent || path.strip_prefix(parent).is_some_and(|rest| rest.starts_with('/'))
}

fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(i) => &path[..i],
    }
}

/// Creates missing parents with their parent's permissions, as xenstored does.
fn write(tree: &mut Tree, path: &str, value: &[u8]) {
    if let Some(node) = tree.get_mut(path) {
        node.0 = value.to_vec();
        return;
    }
    let perms = if path == "/" {
        Perms::private()
    } else {
        if !tree.contains_key(parent(path)) {
            write(tree, parent(path), b"");
        }
        tree[parent(path)].1.clone()
    };
    tree.insert(path.to_owned(), (value.to_vec(), perms));
}

fn children(tree: &Tree, path: &str) -> Vec<u8> {
    let names = tree.keys().filter(|p| *p != "/" && parent(p) == path).map(|p| p.rsplit('/').next().unwrap());
    names.flat_map(|n| n.bytes().chain([0])).collect()
}

type Outcome = Result<(Vec<u8>, Vec<String>), &'static str>;

impl State {
    fn answer(&mut self, header: &Header, payload: &[u8], stream: &UnixStream) -> Outcome {
        let ok = |changed: Vec<String>| Ok((b"OK\0".to_vec(), changed));
        match header.kind {
            Kind::TransactionStart => {
                self.last_transaction += 1;
                self.transactions.insert(self.last_transaction, (self.tree.clone(), self.generation, Vec::new()));
                return Ok((format!("{}\0", self.last_transaction).into_bytes(), Vec::new()));
            }
            Kind::TransactionEnd => return ok(self.end(header.tx_id, payload == b"T\0")?),
            Kind::Watch => {
                let words = words(payload);
                self.watches.push((words[0].into(), words[1].into(), stream.try_clone().unwrap()));
                return ok(Vec::new());
            }
            Kind::Unwatch => {
                let words = words(payload);
                self.watches.retain(|(path, token, _)| (path.as_str(), token.as_str()) != (words[0], words[1]));
                return ok(Vec::new());
            }
            Kind::Introduce => {
                self.introduced.insert(words(payload)[0].to_owned());
                return ok(vec!["@introduceDomain".into()]);
            }
            Kind::Release => {
                self.introduced.remove(words(payload)[0]);
                return ok(vec!["@releaseDomain".into()]);
            }
            Kind::IsDomainIntroduced => {
                let known = self.introduced.contains(words(payload)[0]);
                return Ok((if known { b"T\0" } else { b"F\0" }.to_vec(), Vec::new()));
            }
            Kind::GetDomainPath => {
                return Ok((format!("/local/domain/{}\0", words(payload)[0]).into_bytes(), Vec::new()));
            }
            Kind::ResetWatches | Kind::Resume | Kind::SetTarget => return ok(Vec::new()),
            Kind::Control => return Ok((payload.to_vec(), Vec::new())),
            _ => {}
        }
        if header.tx_id == 0 {
            return node_request(&mut self.tree, self.generation, header.kind, payload);
        }
        let (tree, generation, changes) = self.transactions.get_mut(&header.tx_id).ok_or("ENOENT")?;
        let (answer, changed) = node_request(tree, *generation, header.kind, payload)?;
        changes.extend(changed);
        Ok((answer, Vec::new()))
    }

    fn end(&mut self, id: u32, commit: bool) -> Result<Vec<String>, &'static str> {
        let (tree, generation, changes) = self.transactions.remove(&id).ok_or("ENOENT")?;
        if !commit {
            return Ok(Vec::new());
        }
        if self.refuse_commits > 0 || generation != self.generation {
            self.refuse_commits = self.refuse_commits.saturating_sub(1);
            return Err("EAGAIN");
        }
        self.tree = tree;
        Ok(changes)
    }

    fn changed(&mut self, paths: &[String]) {
        for path in paths {
            self.generation += 1;
            let hit: Vec<_> = self.watches.iter().filter(|(p, ..)| is_below(path, p)).cloned_pairs();
            for (watched, token) in hit {
                self.fire(&watched, &token, path);
            }
        }
    }

    fn fire(&mut self, watched: &str, token: &str, path: &str) {
        let (path, token) = (path.to_owned(), token.to_owned());
        for (_, _, stream) in self.watches.iter_mut().filter(|(p, t, _)| p == watched && *t == token) {
            let payload = format!("{path}\0{token}\0");
            let header = Header { kind: Kind::WatchEvent, req_id: 0, tx_id: 0, len: 0 };
            let _ = send(stream, header, Kind::WatchEvent, payload.as_bytes());
        }
    }
}

trait ClonedPairs {
    fn cloned_pairs(self) -> Vec<(String, String)>;
}

impl<'a, I: Iterator<Item = &'a (String, String, UnixStream)>> ClonedPairs for I {
    fn cloned_pairs(self) -> Vec<(String, String)> {
        self.map(|(path, token, _)| (path.clone(), token.clone())).collect()
    }
}

fn node_request(tree: &mut Tree, generation: u64, kind: Kind, payload: &[u8]) -> Outcome {
    let nul = payload.iter().position(|b| *b == 0).ok_or("EINVAL")?;
    let path = std::str::from_utf8(&payload[..nul]).map_err(|_| "EINVAL")?.to_owned();
    check_path(&path).map_err(|_| "EINVAL")?;
    let path = if path.starts_with('/') { path } else { format!("/local/domain/0/{path}") };
    let rest = &payload[nul + 1..];
    let node = tree.get(&path);
    let changed = |path: String| Ok((b"OK\0".to_vec(), vec![path]));
    match kind {
        Kind::Read => Ok((node.ok_or("ENOENT")?.0.clone(), Vec::new())),
        Kind::GetPerms => {
            let entries = node.ok_or("ENOENT")?.1.entries();
            Ok(((entries.join("\0") + "\0").into_bytes(), Vec::new()))
        }
        Kind::Directory => {
            node.ok_or("ENOENT")?;
            let names = children(tree, &path);
            if names.len() > PAYLOAD_MAX { Err("E2BIG") } else { Ok((names, Vec::new())) }
        }
        Kind::DirectoryPart => {
            node.ok_or("ENOENT")?;
            Ok((directory_part(&children(tree, &path), generation, words(rest)[0].parse().unwrap()), Vec::new()))
        }
        Kind::Write => {
            write(tree, &path, rest);
            changed(path)
        }
        Kind::Mkdir => {
            if node.is_none() {
                write(tree, &path, b"");
            }
            changed(path)
        }
        Kind::Rm => {
            if node.is_none() {
                return if tree.contains_key(parent(&path)) { changed(path) } else { Err("ENOENT") };
            }
            tree.retain(|p, _| !is_below(p, &path));
            changed(path)
        }
        Kind::SetPerms => {
            let perms = Perms::from_entries(words(rest).into_iter()).map_err(|_| "EINVAL")?;
            tree.get_mut(&path).ok_or("ENOENT")?.1 = perms;
            changed(path)
        }
        _ => Err("ENOSYS"),
    }
}

fn directory_part(names: &[u8], generation: u64, offset: usize) -> Vec<u8> {
    let mut part = format!("{generation}\0").into_bytes();
    let room = PAYLOAD_MAX - part.len() - 1;
    let mut taken = 0;
    for name in names.get(offset..).unwrap_or_default().split_inclusive(|b| *b == 0) {
        if taken + name.len() > room {
            return part;
        }
        part.extend_from_slice(name);
        taken += name.len();
    }
    part.push(0);
    part
}
