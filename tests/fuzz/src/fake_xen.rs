//! A hypervisor with one domain, for fuzzing what is done to a domain without Xen.
//!
//! It stands where libxencall and libxenforeignmemory do: libxc's calls, with the structures of Xen's headers, end here,
//! so that all of libxc is tested as it is. Its memory is a file of which single pages are mapped, as Xen's are.
//! What a toolstack must never do makes it panic.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::ffi::{c_int, c_long, c_uint, c_void};
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd};
use std::ptr::{NonNull, null_mut};
use xenctrl_sys as sys;

/// The domain.
pub const DOMID: u16 = 7;
/// Its vCPUs.
const VCPUS: u32 = 2;
/// Where the machine frames of a PV domain begin.
const FIRST_MFN: u64 = 0x10_0000;
/// The frame that Xen shares with a PV domain.
const SHARED_INFO: u64 = FIRST_MFN - 1;
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
}

thread_local! {
    static FAKE: RefCell<Option<Fake>> = const { RefCell::new(None) };
}

/// Makes the domain anew, empty.
pub fn create(hvm: bool, pages_max: usize) {
    FAKE.with_borrow_mut(|slot| {
        let memory = slot.take().map_or_else(memory_file, |old| old.memory);
        memory.set_len(0).expect("emptying the memory");
        let mut fake = Fake {
            hvm,
            pages_max,
            memory,
            frames: HashMap::new(),
            mapped: HashMap::new(),
            buffers: HashSet::new(),
            pinned: Vec::new(),
        };
        if !hvm {
            fake.add(SHARED_INFO);
        }
        *slot = Some(fake);
    });
}

/// What has to hold once a toolstack is done, whether it failed or not; `good` if it says that it did not.
pub fn check(good: bool) {
    with(|fake| {
        assert!(fake.mapped.is_empty(), "memory of the guest stays mapped");
        assert!(fake.buffers.is_empty(), "buffers stay");
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
        std::os::unix::fs::FileExt::read_exact_at(&self.memory, into, place as u64).expect("the memory can be read");
    }

    /// `XENMEM_populate_physmap`: as many extents as there is room for.
    fn populate(&mut self, order: u32, extents: &mut [u64]) -> usize {
        let size = 1 << order;
        for (done, extent) in extents.iter_mut().enumerate() {
            if self.frames.len() + size > self.pages_max {
                return done;
            }
            // A PV domain gets machine frames, and is told them; another has its own numbers.
            let first = if self.hvm { *extent } else { FIRST_MFN + self.frames.len() as u64 };
            (first..).take(size).for_each(|frame| self.add(frame));
            *extent = first;
        }
        extents.len()
    }

    fn domctl(&mut self, control: &mut sys::xen_domctl) -> Result<(), c_int> {
        assert_eq!((control.domain, control.interface_version), (DOMID, sys::XEN_DOMCTL_INTERFACE_VERSION));
        match control.cmd {
            sys::XEN_DOMCTL_getdomaininfo => {
                control.u.getdomaininfo = sys::xen_domctl_getdomaininfo {
                    domain: DOMID,
                    flags: if self.hvm { sys::XEN_DOMINF_hvm_guest } else { 0 },
                    shared_info_frame: SHARED_INFO,
                    max_vcpu_id: VCPUS - 1,
                    ..Default::default()
                };
            }
            sys::XEN_DOMCTL_get_address_size => control.u.address_size.size = 64,
            sys::XEN_DOMCTL_settscinfo => {}
            sys::XEN_DOMCTL_set_cpu_policy => {
                // SAFETY: the member of this operation.
                let policy = unsafe { control.u.cpu_policy };
                // SAFETY: the caller has so many of each.
                unsafe {
                    look_at(policy.leaves.p, policy.nr_leaves as usize);
                    look_at(policy.msrs.p, policy.nr_msrs as usize);
                }
            }
            sys::XEN_DOMCTL_sethvmcontext if self.hvm => {
                // SAFETY: the member of this operation, whose buffer is as long as it says.
                unsafe { look_at(control.u.hvmcontext.buffer.p, control.u.hvmcontext.size as usize) };
            }
            sys::XEN_DOMCTL_setvcpucontext if !self.hvm => {
                // SAFETY: the member of this operation.
                let args = unsafe { control.u.vcpucontext };
                self.vcpu(args.vcpu)?;
                // SAFETY: the caller has a whole context there.
                let context = unsafe { args.ctxt.p.cast::<sys::vcpu_guest_context>().read_unaligned() };
                let root = context.ctrlreg[3] >> 12;
                assert!(self.frames.contains_key(&root), "vcpu{}: the root {root:#x} is not the domain's", args.vcpu);
            }
            sys::XEN_DOMCTL_set_ext_vcpucontext if !self.hvm => {
                // SAFETY: the member of this operation.
                self.vcpu(unsafe { control.u.ext_vcpucontext.vcpu })?;
            }
            sys::XEN_DOMCTL_setvcpuextstate if !self.hvm => {
                // SAFETY: the member of this operation.
                let args = unsafe { control.u.vcpuextstate };
                self.vcpu(args.vcpu)?;
                // SAFETY: its buffer is as long as it says.
                unsafe { look_at(args.buffer.p.cast::<u8>(), args.size as usize) };
            }
            sys::XEN_DOMCTL_set_vcpu_msrs if !self.hvm => {
                // SAFETY: the member of this operation.
                let args = unsafe { control.u.vcpu_msrs };
                self.vcpu(args.vcpu)?;
                // SAFETY: its buffer is as long as it says.
                unsafe { look_at(args.msrs.p, args.msr_count as usize) };
            }
            other => panic!("domctl {other} during a restore"),
        }
        Ok(())
    }

    fn vcpu(&self, vcpu: u32) -> Result<(), c_int> {
        if vcpu < VCPUS { Ok(()) } else { Err(libc::EINVAL) }
    }
}

/// Reads all of it, as Xen does when it copies it in: what is not there ends the program.
///
/// # Safety
/// Xen would be told that so many values are there.
unsafe fn look_at<T: Copy>(start: *const T, count: usize) {
    for index in 0..count {
        // SAFETY: the caller's word.
        std::hint::black_box(unsafe { start.add(index).read_unaligned() });
    }
}

/// The answer of a call that gives a number, or -1 with `errno`.
fn answer<T: From<i8>>(result: Result<T, c_int>) -> T {
    result.unwrap_or_else(|errno| {
        // SAFETY: this thread's own variable.
        unsafe { *libc::__errno_location() = errno };
        T::from(-1)
    })
}

// libxencall (xencall.h).

#[unsafe(no_mangle)]
extern "C" fn xencall_open(_logger: *mut c_void, _flags: c_uint) -> *mut c_void {
    NonNull::dangling().as_ptr()
}

#[unsafe(no_mangle)]
extern "C" fn xencall_close(_handle: *mut c_void) -> c_int {
    0
}

#[unsafe(no_mangle)]
extern "C" fn xencall_alloc_buffer_pages(_handle: *mut c_void, pages: usize) -> *mut c_void {
    // SAFETY: new memory at an address of the kernel's choice.
    let start = unsafe {
        let (rights, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        libc::mmap(null_mut(), pages * PAGE, rights, flags, -1, 0)
    };
    if start == libc::MAP_FAILED {
        return null_mut();
    }
    with(|fake| fake.buffers.insert(start.addr()));
    start
}

#[unsafe(no_mangle)]
extern "C" fn xencall_free_buffer_pages(_handle: *mut c_void, start: *mut c_void, pages: usize) {
    assert!(with(|fake| fake.buffers.remove(&start.addr())), "a buffer is freed twice");
    // SAFETY: mapped above, so long.
    unsafe { libc::munmap(start, pages * PAGE) };
}

#[unsafe(no_mangle)]
extern "C" fn xencall1(_handle: *mut c_void, op: c_uint, arg: u64) -> c_int {
    assert_eq!(op, sys::__HYPERVISOR_domctl);
    // SAFETY: the structure of this call.
    let control = unsafe { &mut *(arg as *mut sys::xen_domctl) };
    answer(with(|fake| fake.domctl(control)).map(|()| 0))
}

#[unsafe(no_mangle)]
extern "C" fn xencall2(_handle: *mut c_void, op: c_uint, _arg1: u64, _arg2: u64) -> c_int {
    panic!("hypercall {op} during a restore");
}

#[unsafe(no_mangle)]
extern "C" fn xencall2L(_handle: *mut c_void, op: c_uint, operation: u64, arg: u64) -> c_long {
    match (op, operation as u32) {
        (sys::__HYPERVISOR_memory_op, sys::XENMEM_populate_physmap) => {
            // SAFETY: the structure of this call.
            let args = unsafe { *(arg as *const sys::xen_memory_reservation) };
            assert_eq!(args.domid, DOMID);
            // SAFETY: it has so many extents.
            let extents = unsafe { std::slice::from_raw_parts_mut(args.extent_start.p, args.nr_extents as usize) };
            with(|fake| fake.populate(args.extent_order, extents)) as c_long
        }
        (sys::__HYPERVISOR_hvm_op, sys::HVMOP_set_param) => {
            // SAFETY: the structure of this call.
            let args = unsafe { *(arg as *const sys::xen_hvm_param) };
            assert_eq!(args.domid, DOMID);
            answer(if with(|fake| fake.hvm) { Ok(0) } else { Err(libc::EINVAL) })
        }
        other => panic!("hypercall {other:?} during a restore"),
    }
}

#[unsafe(no_mangle)]
extern "C" fn xencall4(_handle: *mut c_void, op: c_uint, start: u64, count: u64, _done: u64, domid: u64) -> c_int {
    assert_eq!((op, domid), (sys::__HYPERVISOR_mmuext_op, u64::from(DOMID)));
    // SAFETY: the caller has so many operations there.
    let pins = unsafe { std::slice::from_raw_parts(start as *const sys::mmuext_op, count as usize) };
    with(|fake| {
        for pin in pins {
            // SAFETY: the member of these operations.
            fake.pinned.push((pin.cmd - sys::MMUEXT_PIN_L1_TABLE + 1, unsafe { pin.arg1.mfn }));
        }
    });
    0
}

// libxenforeignmemory (xenforeignmemory.h).

#[unsafe(no_mangle)]
extern "C" fn xenforeignmemory_open(_logger: *mut c_void, _flags: c_uint) -> *mut c_void {
    NonNull::dangling().as_ptr()
}

#[unsafe(no_mangle)]
extern "C" fn xenforeignmemory_close(_handle: *mut c_void) -> c_int {
    0
}

/// # Safety
/// `frames` and `errors` have `pages` entries.
#[unsafe(no_mangle)]
unsafe extern "C" fn xenforeignmemory_map(
    _handle: *mut c_void,
    domid: u32,
    rights: c_int,
    pages: usize,
    frames: *const u64,
    errors: *mut c_int,
) -> *mut c_void {
    assert_eq!(domid, u32::from(DOMID));
    // SAFETY: a range of addresses of the kernel's choice, where nothing can be read.
    let start = unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        libc::mmap(null_mut(), pages * PAGE, libc::PROT_NONE, flags, -1, 0)
    };
    if start == libc::MAP_FAILED {
        return null_mut();
    }
    with(|fake| {
        fake.mapped.insert(start.addr(), pages);
        for index in 0..pages {
            // SAFETY: the caller's word, and a page within the range.
            unsafe {
                let place = fake.frames.get(&*frames.add(index));
                *errors.add(index) = if place.is_some() { 0 } else { -libc::EINVAL };
                let Some(&place) = place else { continue };
                let flags = libc::MAP_SHARED | libc::MAP_FIXED;
                let at = start.byte_add(index * PAGE);
                assert_eq!(libc::mmap(at, PAGE, rights, flags, fake.memory.as_raw_fd(), place as i64), at);
            }
        }
    });
    start
}

#[unsafe(no_mangle)]
extern "C" fn xenforeignmemory_unmap(_handle: *mut c_void, start: *mut c_void, pages: usize) -> c_int {
    assert_eq!(with(|fake| fake.mapped.remove(&start.addr())), Some(pages), "unmapping what is not mapped");
    // SAFETY: mapped above, so long.
    unsafe { libc::munmap(start, pages * PAGE) }
}

/// # Safety
/// `start` can be written.
#[unsafe(no_mangle)]
unsafe extern "C" fn xenforeignmemory_map_resource(
    _handle: *mut c_void,
    domid: u16,
    resource: c_uint,
    _id: c_uint,
    first: u64,
    frames: u64,
    start: *mut *mut c_void,
    _rights: c_int,
    _flags: c_int,
) -> *mut c_void {
    assert_eq!((domid, resource, first, frames), (DOMID, sys::XENMEM_resource_grant_table, 0, 1));
    let table = xencall_alloc_buffer_pages(null_mut(), 1);
    // SAFETY: the caller's word.
    unsafe { *start = table };
    table
}

#[unsafe(no_mangle)]
extern "C" fn xenforeignmemory_unmap_resource(_handle: *mut c_void, resource: *mut c_void) -> c_int {
    xencall_free_buffer_pages(null_mut(), resource, 1);
    0
}
