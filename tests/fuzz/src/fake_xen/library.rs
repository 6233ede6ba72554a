//! The functions of libxencall and libxenforeignmemory.

use super::{DOMID, FIRST_MFN, M2P, PAGE, PAGES_MAX, RING, with};
use libxc::DomId;
use std::ffi::{c_int, c_long, c_uint, c_void};
use std::os::fd::AsRawFd;
use std::ptr::{NonNull, null_mut};
use xenctrl_sys as sys;

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
    if op == sys::__HYPERVISOR_sysctl {
        // SAFETY: the structure of this call.
        let control = unsafe { &mut *(arg as *mut sys::xen_sysctl) };
        assert_eq!(control.cmd, sys::XEN_SYSCTL_get_cpu_policy);
        control.u.cpu_policy = sys::xen_sysctl_cpu_policy { nr_leaves: 2, nr_msrs: 1, ..Default::default() };
        return 0;
    }
    assert_eq!(op, sys::__HYPERVISOR_domctl);
    // SAFETY: the structure of this call.
    let control = unsafe { &mut *(arg as *mut sys::xen_domctl) };
    answer(with(|fake| fake.domctl(control)).map(|()| 0))
}

#[unsafe(no_mangle)]
extern "C" fn xencall2(_handle: *mut c_void, op: c_uint, operation: u64, _arg: u64) -> c_int {
    assert_eq!((op, operation as u32), (sys::__HYPERVISOR_xen_version, sys::XENVER_version));
    4 << 16 | 17
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
        (sys::__HYPERVISOR_hvm_op, sys::HVMOP_get_param) => {
            // SAFETY: the structure of this call.
            unsafe { (*(arg as *mut sys::xen_hvm_param)).value = RING };
            0
        }
        (sys::__HYPERVISOR_memory_op, sys::XENMEM_maximum_gpfn) => PAGES_MAX as c_long,
        (sys::__HYPERVISOR_memory_op, sys::XENMEM_get_pod_target) => {
            // SAFETY: the structure of this call.
            unsafe { (*(arg as *mut sys::xen_pod_target)).pod_entries = 0 };
            0
        }
        (sys::__HYPERVISOR_memory_op, sys::XENMEM_maximum_ram_page) => FIRST_MFN as c_long + PAGES_MAX as c_long,
        (sys::__HYPERVISOR_memory_op, sys::XENMEM_machphys_mfn_list) => {
            // SAFETY: the structure of this call.
            let list = unsafe { &mut *(arg as *mut sys::xen_machphys_mfn_list) };
            assert_eq!(list.max_extents, 1);
            list.nr_extents = 1;
            // SAFETY: the caller has room for one.
            unsafe { *list.extent_start.p = M2P.start };
            0
        }
        other => panic!("hypercall {other:?} for a domain that is saved or restored"),
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
    assert!([DOMID, DomId::XEN.0].map(u32::from).contains(&domid));
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
        let flags = libc::MAP_SHARED | libc::MAP_FIXED;
        if domid == u32::from(DomId::XEN.0) {
            // SAFETY: the caller's word, and all of the range.
            unsafe {
                assert_eq!((*frames, pages as u64, rights), (M2P.start, M2P.end - M2P.start, libc::PROT_READ));
                assert_eq!(libc::mmap(start, pages * PAGE, rights, flags, fake.m2p.as_raw_fd(), 0), start);
                errors.write_bytes(0, pages);
            }
            return;
        }
        for index in 0..pages {
            // SAFETY: the caller's word, and a page within the range.
            unsafe {
                let place = fake.frames.get(&*frames.add(index));
                *errors.add(index) = if place.is_some() { 0 } else { -libc::EINVAL };
                let Some(&place) = place else { continue };
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
