"""Measures this tree's xl and stock xl in one boot, on a machine whose time counts instructions.

Prints one JSON object a line: {"measure", "unit", "program": "ours" | "stock", "value"}. A measure is taken by each
program in turn, from the same state of the host.
"""

import collections
import contextlib
import glob
import json
import os
import re
import statistics
import subprocess
import sys
import time

PROGRAMS = {"stock": "/usr/lib/xen-4.17/bin/xl", "ours": "/usr/local/sbin/xl"}
TINY_PV = "/usr/lib/grub-xen/grub-x86_64-xen.bin"
TINY_PVH = "/usr/lib/grub-xen/grub-i386-xen_pvh.bin"


def report(measure, unit, program, value):
    print(json.dumps({"measure": measure, "unit": unit, "program": program, "value": value}), flush=True)


def config(name, kind, kernel, memory, more=""):
    path = f"/tmp/{name}.cfg"
    with open(path, "w") as file:
        file.write(f'name = "{name}"\ntype = "{kind}"\nkernel = "{kernel}"\nmemory = {memory}\n{more}')
    return path


def run(*command):
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def milliseconds(*command):
    """How long a command takes, in milliseconds of the machine's own time."""
    null = os.open(os.devnull, os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, null, fd) for fd in (0, 1)]
    start = time.monotonic_ns()
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=actions)
    _, status = os.waitpid(pid, 0)
    end = time.monotonic_ns()
    os.close(null)
    if status != 0:
        sys.exit(f"{' '.join(command)}: status {status}")
    return (end - start) / 1e6


def settle():
    """Lets Xen clear the memory of a domain that is gone, which it does when there is nothing else to do."""
    time.sleep(0.5)


def median_time(command, repeat, after=None):
    """The median of several runs; the first warms the page cache and does not count."""
    times = []
    for _ in range(repeat + 1):
        times.append(milliseconds(*command))
        if after:
            run(*after)
            settle()
    return statistics.median(times[1:])


Counts = collections.namedtuple("Counts", "syscalls hypercalls waits processes")


def count(command):
    """System calls, hypercalls, waits for an answer of xenstored, and processes started, by strace."""
    trace = "/tmp/trace"
    run("strace", "-f", "-y", "-s", "64", "-o", trace, *command)
    syscalls = hypercalls = waits = processes = 0
    stores = {}  # pid -> descriptors connected to xenstored
    sent = set()  # (pid, descriptor) with requests out since the last answer
    with open(trace, errors="replace") as lines:
        for line in lines:
            match = re.match(r"(\d+) +(\w+)\((?:(\d+)(?:<([^>]*)>)?)?(.*)", line)
            if not match:
                continue
            syscalls += 1
            pid, call, descriptor, path, rest = match.groups()
            path = path or ""
            if call == "ioctl" and re.search("xen/(privcmd|hypercall)", path) and "0x50, 0, " in rest:
                hypercalls += 1
            if call in ("fork", "vfork", "clone", "clone3") and "CLONE_THREAD" not in line:
                processes += 1
            key = (pid, descriptor)
            if call == "connect" and "xenstored/socket" in rest:
                stores.setdefault(pid, set()).add(descriptor)
            if descriptor in stores.get(pid, ()) or path.endswith("xen/xenbus"):
                if call in ("write", "writev", "sendto", "sendmsg"):
                    sent.add(key)
                elif call in ("read", "readv", "recvfrom", "recvmsg") and key in sent:
                    sent.discard(key)
                    waits += 1
                elif call == "close":
                    stores.get(pid, set()).discard(descriptor)
    return Counts(syscalls, hypercalls, waits, processes)


def listing(measure):
    for program, xl in PROGRAMS.items():
        report(measure, "ms", program, median_time((xl, "list"), 5))
        counts = count((xl, "list"))
        report(measure, "system calls", program, counts.syscalls)
        report(measure, "hypercalls", program, counts.hypercalls)
        report(measure, "xenstore waits", program, counts.waits)


def creating(measure, cfg, name, repeat, counted):
    for program, xl in PROGRAMS.items():
        destroy = (PROGRAMS["stock"], "destroy", name)
        report(measure, "ms", program, median_time((xl, "create", "-q", "-p", cfg), repeat, destroy))
        if counted:
            # -e: without the monitor, which would be counted until its domain dies.
            counts = count((xl, "create", "-q", "-p", "-e", cfg))
            report(measure, "hypercalls", program, counts.hypercalls)
            report(measure, "xenstore waits", program, counts.waits)
            run(*destroy)


def destroying(measure, cfg, name, repeat):
    for program, xl in PROGRAMS.items():
        times = []
        for _ in range(repeat):
            # Made by stock xl without a monitor: what is left to do is the same for both.
            run(PROGRAMS["stock"], "create", "-q", "-p", "-e", cfg)
            settle()
            times.append(milliseconds(xl, "destroy", name))
        report(measure, "ms", program, statistics.median(times))


@contextlib.contextmanager
def scripts_of(program):
    """Each program has its own hotplug scripts in /etc/xen/scripts."""
    if program == "stock":
        run("mount", "--bind", "/usr/lib/xen-4.17/scripts", "/etc/xen/scripts")
    yield
    if program == "stock":
        run("umount", "/etc/xen/scripts")


def with_devices(measure, repeat):
    """Creating and destroying a tiny guest with a disk in a file and an interface at a bridge."""
    run("ip", "link", "add", "name", "xenbr0", "type", "bridge")
    run("ip", "link", "set", "xenbr0", "up")
    with open("/tmp/disk.img", "w") as image:
        image.truncate(4 << 20)
    name, devices = "devices", 'disk = ["/tmp/disk.img,raw,xvda,w"]\nvif = ["bridge=xenbr0"]\n'
    cfg = config(name, "pv", TINY_PV, 32, devices)
    for program, xl in PROGRAMS.items():
        with scripts_of(program):
            times = []
            for _ in range(repeat + 1):
                creating = milliseconds(xl, "create", "-q", "-p", cfg)
                times.append(creating + milliseconds(xl, "destroy", name))
                settle()
            report(measure, "ms", program, statistics.median(times[1:]))
            # -e: without the monitor.
            calls = (xl, "create", "-q", "-p", "-e", cfg), (xl, "destroy", name)
            report(measure, "processes started", program, sum(count(call).processes for call in calls))
    run("ip", "link", "del", "xenbr0")


def monitor_memory(measure, cfgs):
    """Resident memory of the process that waits for a domain, and the part that no other process shares, where there are
    two of its kind."""
    for program, xl in PROGRAMS.items():
        for cfg in cfgs.values():
            run(xl, "create", "-q", "-p", cfg)
        time.sleep(1)
        pid = subprocess.run(["pgrep", "-n", "-x", "xl"], check=True, capture_output=True, text=True).stdout.strip()
        with open(f"/proc/{pid}/smaps_rollup") as file:
            fields = dict(re.findall(r"^(\w+): +(\d+) kB$", file.read(), re.MULTILINE))
        report(measure, "KiB resident", program, int(fields["Rss"]))
        private = int(fields["Private_Clean"]) + int(fields["Private_Dirty"])
        report(measure, "KiB private", program, private)
        for name in cfgs:
            run(PROGRAMS["stock"], "destroy", name)


def linux(name, memory, words=""):
    """A Debian guest that is up."""
    more = f'ramdisk = "/boot/guest.gz"\nextra = "console=hvc0 rdinit=/init quiet {words}"\n'
    run(PROGRAMS["stock"], "create", "-q", "-e", config(name, "pvh", "/boot/vmlinuz", memory, more))
    while "guest is up" not in console(name):
        time.sleep(0.5)


def console_logs(name):
    """The logs of a guest's console; a guest that was moved has one of its own."""
    return glob.glob(f"/var/log/xen/console/guest-{name}*.log")


def console(name):
    return "".join(open(log, errors="replace").read() for log in console_logs(name))


def saving(name):
    """A running guest of 256 MiB into a file and back, by each program in turn."""
    linux(name, 256)
    file = f"/tmp/{name}.save"
    times = {}
    for _ in range(3):
        for program, xl in PROGRAMS.items():
            for verb, call in ("save", (name, file)), ("restore", ("-e", file)):
                times.setdefault((verb, program), []).append(milliseconds(xl, verb, *call))
                settle()
    for (verb, program), taken in times.items():
        report(f"xl {verb}, PVH of 256 MiB", "ms", program, statistics.median(taken[1:]))
    for program, xl in PROGRAMS.items():
        for verb, call in ("save", (name, file)), ("restore", ("-e", file)):
            report(f"xl {verb}, PVH of 256 MiB", "system calls", program, count((xl, verb, *call)).syscalls)
    for program, xl in PROGRAMS.items():
        report("xl save -c, PVH of 256 MiB, to /dev/null", "ms", program, median_time((xl, "save", "-c", name, "/dev/null"), 3))
    run(PROGRAMS["stock"], "save", "-c", name, file)
    report("the file of an idle guest, ours by --compress zstd", "KiB", "stock", os.path.getsize(file) // 1024)
    run(PROGRAMS["ours"], "save", "--compress", "zstd", name, file)
    report("the file of an idle guest, ours by --compress zstd", "KiB", "ours", os.path.getsize(file) // 1024)


def limit():
    """What moving so many bytes takes at the least: copying them in memory once."""
    source, target = bytearray(16 << 20), bytearray(16 << 20)
    start = time.monotonic_ns()
    for _ in range(256 // 16):
        target[:] = source
    taken = (time.monotonic_ns() - start) / 1e6
    for program in PROGRAMS:
        report("256 MiB copied in memory, once: the limit of save and restore", "ms", program, taken)


def downtime(name):
    """How long a guest that writes its memory says nothing while it is moved, on one host.

    A program moves what it has moved before, which does not count: how long its guest is silent depends on who made it, as
    small pages take longer to free.
    """
    linux(name, 128, "dirty=1000 beat=0.02")
    longest = {program: [] for program in PROGRAMS}
    for _ in range(2):
        for program, xl in PROGRAMS.items():
            taken = []
            for _ in range(5):
                taken.append(silence(name, (xl, "migrate", "-s", "", name, f"{xl} migrate-receive")))
                settle()
            longest[program] += taken[1:]
    for program, taken in longest.items():
        report("xl migrate, 80 MB written a second: the guest is silent", "ms", program, statistics.median(taken))
    run(PROGRAMS["stock"], "destroy", name)


def silence(name, command):
    """The longest time in milliseconds without a word of the guest from when a command begins until it has ended."""
    moving = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    longest = said = 0
    last = time.monotonic_ns()
    ended = None
    while ended is None or said == ended:
        now_said = sum(os.path.getsize(log) for log in console_logs(name))
        now = time.monotonic_ns()
        if now_said != said:
            longest, last, said = max(longest, now - last), now, now_said
        if ended is None and moving.poll() is not None:
            ended = said  # One more word: it goes on.
        time.sleep(0.001)
    if moving.returncode != 0:
        sys.exit(f"{' '.join(command)}: status {moving.returncode}")
    return longest / 1e6


def main():
    pv = config("pv", "pv", TINY_PV, 32)
    pvh = config("pvh", "pvh", TINY_PVH, 32)
    debian = config("debian", "pvh", "/boot/vmlinuz", 128, 'ramdisk = "/boot/guest.gz"\n')
    listing("xl list, 1 domain")
    creating("xl create -p, tiny PV", pv, "pv", 3, counted=True)
    creating("xl create -p, tiny PVH", pvh, "pvh", 3, counted=True)
    creating("xl create -p, Debian's bzImage (xz)", debian, "debian", 1, counted=False)
    destroying("xl destroy NAME", pv, "pv", 3)
    with_devices("xl create -p and destroy, a disk and a vif", 3)
    monitor_memory("the monitor of a domain", {"pv": pv, "pvh": pvh})
    saving("saved")
    limit()
    downtime("moved")
    for number in range(19):
        run(PROGRAMS["stock"], "create", "-q", "-p", "-e", config(f"guest{number}", "pv", TINY_PV, 32))
    listing("xl list, 20 domains")


main()
