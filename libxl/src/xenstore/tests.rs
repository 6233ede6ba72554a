//! The client against a small xenstored in a thread, and against hostile ones.

use super::fake::Fake;
use super::wire::{HEADER_LEN, Header, Kind};
use super::{Batch, Client, Perms, Store, Xs, XsTransaction, XsTransactionSpan, errno};
use crate::error::Error;
use libxc::{DomId, EvtchnPort, Gfn};
use nix::errno::Errno;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;

#[test]
fn nodes_and_values() {
    let xs = Fake::new().connect();
    xs.write("/a/b", "value").unwrap();
    assert_eq!(&*xs.read("/a/b").unwrap(), "value");
    assert_eq!(&*xs.read("/a").unwrap(), "");
    assert_eq!(xs.directory("/a").unwrap(), [Box::from("b")]);
    xs.write_bytes("/a/raw", b"\xff\0\xfe").unwrap();
    assert_eq!(xs.read_bytes("/a/raw").unwrap(), b"\xff\0\xfe");
    assert!(xs.read("/a/raw").unwrap_err().to_string().contains("no UTF-8"));
    assert_eq!(xs.read_optional("/none").unwrap(), None);
    assert_eq!(xs.read_many(["/a/b", "/none"]).unwrap(), [Some("value".to_owned()), None]);
    assert_eq!(xs.children("/none").unwrap(), Vec::<String>::new());
    xs.rm("/a").unwrap();
    assert!(!xs.exists("/a/b").unwrap());
    xs.remove("/gone/far").unwrap();
}

#[test]
fn a_refusal_names_request_path_and_reason() {
    let xs = Fake::new().connect();
    let error = xs.read("/nowhere").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    assert_eq!(errno(&error), Some(Errno::ENOENT));
    assert_eq!(error.to_string(), "reading /nowhere in xenstore: No such file or directory");
    assert!(xs.write("/no good", "").unwrap_err().to_string().contains("' '"));
    assert_eq!(xs.stats().requests, 1, "a bad path is refused before it is sent");
}

#[test]
fn permissions() {
    let fake = Fake::new();
    let xs = fake.connect();
    let perms = Perms::private().readable_by(DomId(3));
    xs.mkdir("/local/domain/3").unwrap();
    xs.set_perms("/local/domain/3", &perms).unwrap();
    xs.write("/local/domain/3/name", "x").unwrap();
    assert_eq!(xs.get_perms("/local/domain/3/name").unwrap(), perms, "inherited from the parent");
    assert_eq!(
        fake.dump("/local/domain/3"),
        [r#"/local/domain/3 = ""   (n0,r3)"#, r#"/local/domain/3/name = "x"   (n0,r3)"#]
    );
}

#[test]
fn a_batch_waits_once() {
    let xs = Fake::new().connect();
    let mut batch = Batch::new();
    for i in 0..100 {
        batch.write(&format!("/n/{i}"), i.to_string());
    }
    xs.run(batch).unwrap();
    let stats = xs.stats();
    assert_eq!((stats.requests, stats.waits, stats.sends, stats.receives), (100, 1, 1, 1));
    let values = xs.read_many((0..100).map(|i| format!("/n/{i}"))).unwrap();
    assert!(values.iter().enumerate().all(|(i, v)| *v == Some(i.to_string())));
    assert_eq!(xs.stats().waits, 2);
}

#[test]
fn a_write_alone_takes_two_system_calls() {
    let xs = Fake::new().connect();
    for i in 1..=20 {
        xs.write("/n", "v").unwrap();
        assert_eq!((xs.stats().sends, xs.stats().receives), (i, i));
    }
}

#[test]
fn each_answer_of_a_batch_is_its_own() {
    let xs = Fake::new().connect();
    let mut batch = Batch::new();
    batch.write("/a", "1").read("/none").read("/a").rm("/a").read("/a");
    let answers = xs.submit(batch).unwrap();
    let seen: Vec<_> = answers.iter().map(|a| a.as_ref().map(Vec::as_slice).map_err(errno)).collect();
    let none = Err(Some(Errno::ENOENT));
    assert_eq!(seen, [Ok(&b"OK\0"[..]), none, Ok(b"1"), Ok(b"OK\0"), none]);
}

#[test]
fn batches_beyond_the_window() {
    let xs = Fake::new().connect();
    let mut batch = Batch::new();
    for i in 0..1000 {
        batch.write(&format!("/big/{i}"), [b'x'; 3000]);
    }
    xs.run(batch).unwrap();
    let values = xs.read_many((0..1000).map(|i| format!("/big/{i}"))).unwrap();
    assert!(values.iter().all(|v| v.as_ref().is_some_and(|v| v.len() == 3000)));
}

#[test]
fn long_listings_come_in_parts() {
    let xs = Fake::new().connect();
    let names: Vec<String> = (0..3000).map(|i| format!("node-{i:04}")).collect();
    let mut batch = Batch::new();
    for name in &names {
        batch.write(&format!("/long/{name}"), "");
    }
    xs.run(batch).unwrap();
    assert_eq!(xs.children("/long").unwrap(), names);
    xs.rm("/long").unwrap();
}

#[test]
fn a_transaction_is_seen_when_committed() {
    let fake = Fake::new();
    let (xs, other) = (fake.connect(), fake.connect());
    let value = xs
        .transaction(|t| {
            t.write("/t/a", "1")?;
            assert_eq!(other.read_optional("/t/a")?, None);
            Ok(t.read("/t/a")?)
        })
        .unwrap();
    assert_eq!(&*value, "1");
    assert_eq!(&*other.read("/t/a").unwrap(), "1");
}

#[test]
fn a_transaction_runs_again_on_conflict() {
    let fake = Fake::new();
    let (xs, other) = (fake.connect(), fake.connect());
    other.write("/counter", "5").unwrap();
    let mut runs = 0;
    xs.transaction(|t| {
        runs += 1;
        let counter: u32 = t.read("/counter")?.parse().unwrap();
        if runs == 1 {
            other.write("/counter", "6")?;
        }
        Ok(t.write("/counter", &(counter + 1).to_string())?)
    })
    .unwrap();
    assert_eq!((runs, fake.get("/counter")), (2, Some(b"7".to_vec())));
}

#[test]
fn a_failed_transaction_leaves_nothing() {
    let fake = Fake::new();
    let xs = fake.connect();
    let result = xs.transaction(|t| {
        t.write("/t", "1")?;
        Err::<(), _>(Error::fail("no"))
    });
    assert_eq!(result.unwrap_err().to_string(), "no");
    assert_eq!(fake.get("/t"), None);

    fake.refuse_commits(u32::MAX);
    let error = xs.run_atomic(|b| _ = b.write("/t", "1")).unwrap_err();
    assert!(error.to_string().contains("conflicts"), "{error}");
}

#[test]
fn a_change_in_a_transaction_takes_three_waits() {
    let xs = Fake::new().connect();
    xs.run_atomic(|b| (0..40).for_each(|i| _ = b.write_with(&format!("/d/{i}"), "", &Perms::private()))).unwrap();
    assert_eq!(xs.stats().waits, 3);
}

#[test]
fn the_traits_of_xenstore_rs() {
    fn rename<X: XsTransaction>(xs: &X) -> std::io::Result<()>
    where
        X::Span: XsTransactionSpan,
    {
        let span = xs.transaction()?;
        let old = span.read("/name")?;
        span.write("/name", &format!("{old}-2"))?;
        span.commit()
    }
    let fake = Fake::new();
    let xs = fake.connect();
    xs.write("/name", "x").unwrap();
    rename(&xs).unwrap();
    assert_eq!(fake.get("/name"), Some(b"x-2".to_vec()));
    drop(XsTransaction::transaction(&xs).unwrap());
}

#[test]
fn watches_tell_of_changes() {
    let fake = Fake::new();
    let xs = fake.connect();
    let watch = xs.watch("/w").unwrap();
    xs.read_optional("/sync").unwrap();
    assert_eq!(watch.take(), ["/w"], "the first event comes with the watch");

    fake.set("/w/deep/node", b"1");
    fake.set("/elsewhere", b"1");
    xs.receive_events().unwrap();
    assert!(watch.is_pending());
    assert_eq!(watch.take(), ["/w/deep/node"]);
    assert!(!watch.is_pending());

    let other = xs.watch("/w/x").unwrap();
    drop(watch);
    fake.set("/w/x", b"1");
    xs.receive_events().unwrap();
    assert_eq!(other.take(), ["/w/x"], "the first event and this one are the same");
    let error = xs.watch("/w x").unwrap_err();
    assert!(error.to_string().contains("' '"), "{error}");
}

#[test]
fn watching_and_reading_takes_one_wait() {
    let fake = Fake::new();
    let xs = fake.connect();
    fake.set("/w", b"old");
    let mut batch = Batch::new();
    batch.read("/w");
    let (watch, mut answers) = xs.watch_and("/w", batch).unwrap();
    assert_eq!(answers.pop().unwrap().unwrap(), b"old");
    assert_eq!(xs.stats().waits, 1);
    xs.read_optional("/sync").unwrap();
    assert!(!watch.is_pending(), "what was read is as new as the first event");
    fake.set("/w", b"new");
    xs.receive_events().unwrap();
    assert_eq!(watch.take(), ["/w"]);
}

#[test]
fn domains() {
    let xs = Fake::new().connect();
    assert!(!xs.is_domain_introduced(DomId(4)).unwrap());
    xs.introduce(DomId(4), Gfn(0xfeffc), EvtchnPort(1)).unwrap();
    assert!(xs.is_domain_introduced(DomId(4)).unwrap());
    xs.release(DomId(4)).unwrap();
    assert!(!xs.is_domain_introduced(DomId(4)).unwrap());
    assert_eq!(xs.get_domain_path(DomId(4)).unwrap(), "/local/domain/4");
    assert_eq!(xs.control(&["check"]).unwrap(), "check");
    xs.reset_watches().unwrap();
    xs.resume(DomId(4)).unwrap();
    xs.set_target(DomId(5), DomId(4)).unwrap();
}

/// A server that answers the request "read /a" with these bytes, made from its header.
fn answering(answer: impl FnOnce(Header) -> Vec<u8> + Send + 'static) -> Client {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    thread::spawn(move || {
        let mut request = [0; HEADER_LEN + 3];
        theirs.read_exact(&mut request).unwrap();
        theirs.write_all(&answer(Header::decode(request[..HEADER_LEN].try_into().unwrap()).unwrap())).unwrap();
    });
    Client::from_socket(ours).unwrap()
}

fn message(header: Header, payload: &[u8]) -> Vec<u8> {
    [&header.encode()[..], payload].concat()
}

#[test]
fn hostile_answers_are_errors_and_end_the_connection() {
    type Answer = fn(Header) -> Vec<u8>;
    let cases: [(&str, Answer); 6] = [
        ("4294967295 bytes", |h| message(Header { len: u32::MAX as usize, ..h }, b"")),
        ("not made (id 77)", |h| message(Header { req_id: 77, len: 0, ..h }, b"")),
        ("kind Write to a request of kind Read", |h| message(Header { kind: Kind::Write, len: 3, ..h }, b"OK\0")),
        ("unknown type", |_| vec![0xff; 16]),
        ("without a token", |h| message(Header { kind: Kind::WatchEvent, len: 2, ..h }, b"/\0")),
        ("closed the connection", |h| message(h, b"")[..10].to_vec()),
    ];
    for (expected, answer) in cases {
        let xs = answering(answer);
        let error = xs.read("/a").unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
        let later = xs.read("/a").unwrap_err().to_string();
        assert!(later.contains("connection lost"), "{expected}: then {later}");
    }
}

#[test]
fn an_answer_may_come_after_events_and_in_pieces() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let xs = Client::from_socket(ours).unwrap();
    thread::spawn(move || {
        let mut head = [0; HEADER_LEN];
        theirs.read_exact(&mut head).unwrap();
        let header = Header::decode(&head).unwrap();
        let event = message(Header { kind: Kind::WatchEvent, req_id: 0, tx_id: 0, len: 5 }, b"/x\x001\0");
        let answer = message(Header { len: 4, ..header }, b"data");
        for byte in event.into_iter().chain(answer) {
            theirs.write_all(&[byte]).unwrap();
        }
    });
    assert_eq!(xs.read_bytes("/a").unwrap(), b"data");
}

#[test]
fn answers_in_another_order_find_their_requests() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let xs = Client::from_socket(ours).unwrap();
    thread::spawn(move || {
        let mut headers = Vec::new();
        for _ in 0..2 {
            let mut message = [0; HEADER_LEN + 3];
            theirs.read_exact(&mut message).unwrap();
            headers.push(Header::decode(message[..HEADER_LEN].try_into().unwrap()).unwrap());
        }
        theirs.write_all(&message(Header { len: 1, ..headers[1] }, b"2")).unwrap();
        theirs.write_all(&message(Header { len: 1, ..headers[0] }, b"1")).unwrap();
    });
    assert_eq!(xs.read_many(["/1", "/2"]).unwrap(), [Some("1".into()), Some("2".into())]);
}
