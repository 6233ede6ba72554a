//! The xenstore client against this host's xenstored. On a host without Xen it says so and does nothing.

use libxc::DomId;
use libxl::event::{Deadline, Source, Woken, wait};
use libxl::xenstore::{Batch, Client, Perms, Store, Xs, errno};
use libxl::{Ctx, Paths};
use nix::errno::Errno;
use std::path::Path;
use std::time::Duration;

/// The client, and a directory of this test's own that is empty.
fn client(name: &str) -> Option<(Client, String)> {
    let paths = Paths::installed(Path::new("/usr"));
    if !paths.xenstored_socket.exists() {
        eprintln!("skipped: no xenstored at {}", paths.xenstored_socket.display());
        return None;
    }
    let client = Client::open(&paths.xenstored_socket, &paths.xenbus_device).unwrap();
    let dir = format!("/test/libxl/{name}");
    client.remove(&dir).unwrap();
    client.mkdir(&dir).unwrap();
    Some((client, dir))
}

#[test]
fn nodes_permissions_and_errors() {
    let Some((xs, dir)) = client("nodes") else { return };
    let node = format!("{dir}/n");
    xs.write_bytes(&node, b"\xff\0x").unwrap();
    assert_eq!(xs.read_bytes(&node).unwrap(), b"\xff\0x");
    let perms: Perms = "(r0)".parse().unwrap();
    xs.set_perms(&node, &perms).unwrap();
    assert_eq!(xs.get_perms(&node).unwrap(), perms);
    assert_eq!(errno(&xs.read(&format!("{dir}/none")).unwrap_err()), Some(Errno::ENOENT));
    assert_eq!(xs.get_domain_path(DomId(3)).unwrap(), "/local/domain/3");
    assert!(!xs.is_domain_introduced(DomId(3000)).unwrap());
    xs.remove(&dir).unwrap();
    assert!(!xs.exists(&dir).unwrap());
}

#[test]
fn a_thousand_nodes_in_a_few_waits() {
    let Some((xs, dir)) = client("many") else { return };
    let names: Vec<String> = (0..1000).map(|i| format!("a-rather-long-name-{i:04}")).collect();
    let before = xs.stats();
    let mut batch = Batch::new();
    for name in &names {
        batch.write_with(&format!("{dir}/{name}"), name, &Perms::private().readable_by(DomId(1)));
    }
    xs.run(batch).unwrap();
    let written = xs.stats();
    eprintln!(
        "2000 writes: {} waits, {} sends, {} receives",
        written.waits - before.waits,
        written.sends - before.sends,
        written.receives - before.receives
    );
    let mut listed = xs.children(&dir).unwrap();
    listed.sort();
    assert_eq!(listed, names, "a listing in parts");
    let listing = xs.stats();
    let values = xs.read_many(names.iter().map(|n| format!("{dir}/{n}"))).unwrap();
    assert!(values.iter().zip(&names).all(|(v, n)| v.as_ref() == Some(n)));
    let read = xs.stats();
    eprintln!(
        "1000 reads: {} waits, {} sends, {} receives",
        read.waits - listing.waits,
        read.sends - listing.sends,
        read.receives - listing.receives
    );
    xs.remove(&dir).unwrap();
}

#[test]
fn system_calls_of_one_request() {
    let Some((xs, dir)) = client("calls") else { return };
    let before = xs.stats();
    for i in 0..100 {
        xs.write(&format!("{dir}/n"), &i.to_string()).unwrap();
    }
    let written = xs.stats();
    assert_eq!(written.sends + written.receives - before.sends - before.receives, 200, "two for each write");
    for _ in 0..100 {
        xs.read(&format!("{dir}/n")).unwrap();
    }
    let read = xs.stats();
    eprintln!("100 reads: {} sends, {} receives", read.sends - written.sends, read.receives - written.receives);
    xs.remove(&dir).unwrap();
}

#[test]
fn transactions_conflict_and_run_again() {
    let Some((xs, dir)) = client("transactions") else { return };
    let (other, _) = client("other").unwrap();
    let counter = format!("{dir}/counter");
    xs.write(&counter, "5").unwrap();
    let mut runs = 0;
    xs.transaction(|t| {
        runs += 1;
        let value: u32 = t.read(&counter)?.parse().unwrap();
        if runs == 1 {
            other.write(&counter, "6")?;
        }
        Ok(t.write(&counter, &(value + 1).to_string())?)
    })
    .unwrap();
    assert_eq!((runs, &*xs.read(&counter).unwrap()), (2, "7"));
    let failed = xs.transaction(|t| {
        t.write(&counter, "9")?;
        Err::<(), _>(libxl::Error::fail("no"))
    });
    assert_eq!(failed.unwrap_err().to_string(), "no");
    assert_eq!(&*xs.read(&counter).unwrap(), "7");
    xs.remove(&dir).unwrap();
}

#[test]
fn watches_wake() {
    let Some((xs, dir)) = client("watches") else { return };
    let (other, _) = client("watches-other").unwrap();
    let ctx = Ctx::new(Paths::installed(Path::new("/usr"))).with_xs(xs.clone());
    let long = || Deadline::after(Duration::from_secs(20));
    let mut read = Batch::new();
    read.read(&format!("{dir}/n"));
    let (watch, answers) = xs.watch_and(&dir, read).unwrap();
    assert_eq!(errno(answers[0].as_ref().unwrap_err()), Some(Errno::ENOENT));
    let short = Deadline::after(Duration::from_millis(200));
    assert_eq!(wait(&ctx, &[Source::Watch(&watch)], short).unwrap(), Woken::TimedOut, "no first event");
    other.write(&format!("{dir}/n"), "1").unwrap();
    assert_eq!(wait(&ctx, &[Source::Watch(&watch)], long()).unwrap(), Woken::By(vec![0]));
    assert_eq!(watch.take(), [format!("{dir}/n")]);
    let released = xs.watch("@releaseDomain").unwrap();
    assert_eq!(wait(&ctx, &[Source::Watch(&released)], long()).unwrap(), Woken::By(vec![0]));
    drop(watch);
    xs.remove(&dir).unwrap();
}

#[test]
fn the_kernels_device_does_the_same() {
    let paths = Paths::installed(Path::new("/usr"));
    if !paths.xenbus_device.exists() {
        eprintln!("skipped: no {}", paths.xenbus_device.display());
        return;
    }
    let xs = Client::open(&paths.xenbus_device, &paths.xenbus_device).unwrap();
    let dir = "/test/libxl/device";
    xs.remove(dir).unwrap();
    xs.run_atomic(|b| (0..50).for_each(|i| _ = b.write(&format!("{dir}/{i}"), i.to_string()))).unwrap();
    assert_eq!(xs.children(dir).unwrap().len(), 50);
    let ctx = Ctx::new(paths).with_xs(xs.clone());
    let watch = xs.watch(dir).unwrap();
    let long = Deadline::after(Duration::from_secs(20));
    assert_eq!(wait(&ctx, &[Source::Watch(&watch)], long).unwrap(), Woken::By(vec![0]));
    watch.take();
    xs.write(&format!("{dir}/x"), "1").unwrap();
    assert_eq!(wait(&ctx, &[Source::Watch(&watch)], long).unwrap(), Woken::By(vec![0]));
    drop(watch);
    eprintln!("device: {:?}", xs.stats());
    xs.remove(dir).unwrap();
}
