//! A hypervisor with one domain, for fuzzing what is done to a domain without Xen.
//!
//! It stands where libxencall and libxenforeignmemory do: libxc's calls, with the structures of Xen's headers, end here,
//! so that all of libxc is tested as it is. Its memory is a file of which single pages are mapped, as Xen's are.
//! What a toolstack must never do makes it panic. `library.rs` has the libraries' functions, `domctl.rs` answers what is
//! asked about the domain.

mod domctl;
mod library;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::os::fd::FromRawFd;
use std::os::unix::fs::FileExt;

/// The domain.
pub const DOMID: u16 = 7;
/// Its vCPUs.
const VCPUS: u32 = 2;
/// Where the machine frames of a PV domain begin.
const FIRST_MFN: u64 = 0x1000;
/// The frame that Xen shares with a PV domain.
const SHARED_INFO: u64 = FIRST_MFN - 1;
/// The page that an HVM domain has for all its rings.
const RING: u64 = 1;
/// The most pages that the domain may have in all.
pub const PAGES_MAX: usize = 4096;
/// The frames, of Xen's own, of its table of which page each machine frame is to its owner; and their number.
const M2P: std::ops::Range<u64> = 0x5000_0000..0x5000_0200;
const PAGE: usize = 4096;
const PRESENT: u64 = 1;
const FRAME: u64 = 0x000f_ffff_ffff_f000;

/// The domain's memory and what was done to it.
struct Fake {
    hvm: bool,
    /// The most pages that the domain can have.
    pages_max: usize,
    memory: File,
    /// The place in `memory` of each frame by which Xen knows a page.
    frames: HashMap<u64, usize>,
    /// Mappings, by their address: how many pages.
    mapped: HashMap<usize, usize>,
    /// Buffers, by their address.
    buffers: HashSet<usize>,
    /// The page tables that were pinned, with their level.
    pinned: Vec<(u32, u64)>,
    /// What a machine frame is to the domain.
    m2p: File,
    /// What Xen says of a domain that is saved.
    state: State,
    suspended: bool,
    logs_dirty: bool,
}

/// What Xen says of a domain that is saved.
#[derive(Clone, Default)]
pub struct State {
    /// The type of each page in turn, four bits in a byte; pages beyond are ordinary ones.
    pub types: Vec<u8>,
    /// The registers of its vCPUs.
    pub context: Vec<u8>,
    /// Xen can log what the guest writes; a bit for each page then says that it was written.
    pub dirty: Option<u8>,
}

thread_local! {
    static FAKE: RefCell<Option<Fake>> = const { RefCell::new(None) };
}

/// Makes the domain anew, empty, with at most so many pages.
pub fn create(hvm: bool, pages_max: usize) {
    assert!(pages_max <= PAGES_MAX);
    FAKE.with_borrow_mut(|slot| {
        let (memory, m2p) = slot.take().map_or_else(|| (memory_file(), memory_file()), |old| (old.memory, old.m2p));
        memory.set_len(0).expect("emptying the memory");
        m2p.set_len(0).and_then(|()| m2p.set_len((M2P.end - M2P.start) * PAGE as u64)).expect("emptying the table");
        let mut fake = Fake {
            hvm,
            pages_max,
            memory,
            frames: HashMap::new(),
            mapped: HashMap::new(),
            buffers: HashSet::new(),
            pinned: Vec::new(),
            m2p,
            state: State::default(),
            suspended: false,
            logs_dirty: false,
        };
        if !hvm {
            fake.add(SHARED_INFO);
        }
        *slot = Some(fake);
    });
}

/// Makes the domain anew with these pages; the first of a PV domain is the one that Xen shares with it.
pub fn create_with(hvm: bool, pages: &[u8], state: State) {
    create(hvm, PAGES_MAX);
    with(|fake| {
        for (index, content) in pages.chunks(PAGE).take(PAGES_MAX).enumerate() {
            let frame = if hvm { index as u64 } else { SHARED_INFO + index as u64 };
            if hvm || index > 0 {
                fake.add(frame);
            }
            fake.memory.write_all_at(content, fake.frames[&frame] as u64).expect("the memory can be written");
            if !hvm && index > 0 {
                let pfn = (index as u64 - 1).to_le_bytes();
                fake.m2p.write_all_at(&pfn, frame * 8).expect("the table can be written");
            }
        }
        fake.state = state;
    });
}

/// The ordinary pages of the domain, by their frames, but for that of its rings: a restore clears those.
pub fn ordinary_pages() -> BTreeMap<u64, Box<[u8; PAGE]>> {
    with(|fake| {
        let ordinary = fake.frames.keys().filter(|&&frame| fake.page_type(frame) == 0 && frame != RING);
        ordinary
            .map(|&frame| {
                let mut page = Box::new([0; PAGE]);
                fake.read(frame, &mut page);
                (frame, page)
            })
            .collect()
    })
}

/// The domain has suspended itself.
pub fn suspend() {
    with(|fake| fake.suspended = true);
}

/// The domain goes on. A PV domain now has this in the page that Xen shares with it.
pub fn resume(shared_info: &[u8]) {
    with(|fake| {
        fake.suspended = false;
        if let Some(&place) = fake.frames.get(&SHARED_INFO).filter(|_| !fake.hvm) {
            fake.memory.write_all_at(shared_info, place as u64).expect("the memory can be written");
        }
    });
}

/// What has to hold once a toolstack is done, whether it failed or not; `good` if it says that it did not.
pub fn check(good: bool) {
    with(|fake| {
        assert!(fake.mapped.is_empty(), "memory of the guest stays mapped");
        assert!(fake.buffers.is_empty(), "buffers stay");
        assert!(!fake.logs_dirty, "what the guest writes is still logged");
        if !good {
            return;
        }
        for &(level, mfn) in &fake.pinned {
            let mut table = [0; PAGE];
            fake.read(mfn, &mut table);
            let entries = table.as_chunks::<8>().0.iter().map(|e| u64::from_le_bytes(*e));
            for entry in entries.filter(|e| e & PRESENT != 0) {
                let to = (entry & FRAME) >> 12;
                assert!(
                    fake.frames.contains_key(&to),
                    "table {mfn:#x} of level {level} maps the foreign frame {to:#x}"
                );
            }
        }
    });
}

/// An empty file in memory.
pub fn memory_file() -> File {
    // SAFETY: the name is a C string; the descriptor is new.
    unsafe { File::from_raw_fd(libc::memfd_create(c"guest".as_ptr(), libc::MFD_CLOEXEC)) }
}

fn with<T>(f: impl FnOnce(&mut Fake) -> T) -> T {
    FAKE.with_borrow_mut(|fake| f(fake.as_mut().expect("a domain was made")))
}

impl Fake {
    /// A page for this frame.
    fn add(&mut self, frame: u64) {
        let place = self.frames.len() * PAGE;
        self.memory.set_len((place + PAGE) as u64).expect("more memory");
        assert_eq!(self.frames.insert(frame, place), None, "frame {frame:#x} is populated twice");
    }

    fn read(&self, frame: u64, into: &mut [u8; PAGE]) {
        let place = *self.frames.get(&frame).unwrap_or_else(|| panic!("{frame:#x} is not the domain's"));
        self.memory.read_exact_at(into, place as u64).expect("the memory can be read");
    }

    /// `XENMEM_populate_physmap`: as many extents as there is room for. Nobody has cleared their pages.
    fn populate(&mut self, order: u32, extents: &mut [u64]) -> usize {
        let size = 1 << order;
        for (done, extent) in extents.iter_mut().enumerate() {
            if self.frames.len() + size > self.pages_max {
                return done;
            }
            // A PV domain gets machine frames, and is told them; another has its own numbers.
            let first = if self.hvm { *extent } else { FIRST_MFN + self.frames.len() as u64 };
            for frame in (first..).take(size) {
                self.add(frame);
                self.memory.write_all_at(&[0xa5; PAGE], self.frames[&frame] as u64).expect("the memory can be written");
            }
            *extent = first;
        }
        extents.len()
    }
}
