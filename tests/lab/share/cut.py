"""The way to a receiver, which ends at one place of a migration: python3 cut.py PLACE HOW RECEIVER...

It passes on what sender and receiver say, one item after the other: the messages of the handshake, xl's header, the
headers and records of both streams. PLACE is "before ITEM" (it has been sent, and does not arrive) or "after ITEM" (it
arrives, and nothing else does); HOW is what happens there:

cut     both ways close; the receiver lives
kill    the receiver gets SIGKILL (before it reads GO), and the ways close
all     as kill, and its guard gets SIGKILL before it
die     as kill, but what comes from the receiver's side still arrives
named   after GO: as die, once the copy has the guest's name, before it runs

The items that pass are written to the file `items`. AT_READY in the environment is a shell command that runs once the
receiver has the whole guest.
"""

import fcntl
import os
import signal
import struct
import subprocess
import sys
import termios
import time

PLACE, HOW, RECEIVER = sys.argv[1], sys.argv[2], sys.argv[3:]
LIBXL = {0: "libxl END", 1: "LIBXC_CONTEXT"}
LIBXC = {
    0x00: "libxc END", 0x01: "PAGE_DATA", 0x08: "X86_TSC_INFO", 0x09: "HVM_CONTEXT", 0x0a: "HVM_PARAMS",
    0x10: "STATIC_DATA_END", 0x11: "X86_CPUID_POLICY", 0x12: "X86_MSR_POLICY",
}
END, LIBXC_CONTEXT, PAGE_DATA = 0, 1, 1

receiver = subprocess.Popen(RECEIVER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
to_receiver, from_receiver = receiver.stdin.fileno(), receiver.stdout.fileno()
passed = open("items", "w", buffering=1)


def end(last_words=b""):
    """The receiver hears the sender no more, then nor the sender the receiver."""
    if HOW == "all":
        subprocess.run(["pkill", "-KILL", "-f", "xl --guard"], check=True)
    if HOW != "cut":
        receiver.kill()
        receiver.wait()
    os.close(0)
    os.close(to_receiver)
    write(1, last_words)
    if HOW in ("die", "named"):
        pass_on_the_rest()
    os.close(from_receiver)
    os.close(1)
    sys.exit(1 if receiver.wait() else 0)


def pass_on_the_rest():
    try:
        while content := os.read(from_receiver, 4096):
            write(1, content)
    except BrokenPipeError:
        pass  # The sender has ended.


def read(fd, length):
    content = b""
    while len(content) < length:
        more = os.read(fd, length - len(content))
        if not more:
            end(content)
        content += more
    return content


def write(fd, content):
    while content:
        content = content[os.write(fd, content):]


def wait_until_read():
    """The receiver has read all and waits for more."""
    while struct.unpack("i", fcntl.ioctl(to_receiver, termios.FIONREAD, b"    "))[0] > 0:
        time.sleep(0.05)
    time.sleep(0.3)


def back(item, length):
    content = read(from_receiver, length)
    if item == "READY" and "AT_READY" in os.environ:
        subprocess.run(os.environ["AT_READY"], shell=True, check=True)
    if PLACE == "before " + item:
        end()
    if PLACE == "after " + item:
        end(content)
    write(1, content)
    print(item, file=passed)
    return content


def forth(item, length, known=b""):
    content = known + read(0, length)
    if PLACE == "before " + item:
        end()
    write(to_receiver, content)
    arrived(item)
    return content


def pages(item, header, length):
    """Their contents need not come by here."""
    write(to_receiver, header)
    while length:
        length -= os.splice(0, to_receiver, length) or end()
    arrived(item)


def arrived(item):
    print(item, file=passed)
    if PLACE == "after " + item:
        if HOW != "cut":
            wait_until_read()
        end()


def records(names, inner=None):
    """The records of a stream, up to its END. That of type `inner` has another stream behind it."""
    kind, batches = None, 0
    while kind != END:
        header = read(0, 8)
        kind, length = struct.unpack("<II", header)
        length = (length + 7) & ~7
        if names is LIBXC and kind == PAGE_DATA:
            batches += 1
            pages("PAGE_DATA %d" % batches, header, length)
        else:
            forth(names[kind], length, header)
        if kind == inner:
            forth("libxc image header", 24)
            forth("libxc domain header", 16)
            records(LIBXC)


def go():
    """The point of no return."""
    if PLACE != "after GO" or HOW == "cut":
        forth("GO", 44)
        return
    message = read(0, 44)
    if HOW != "named":
        receiver.send_signal(signal.SIGSTOP)
        write(to_receiver, message)
        end()
    # Each of its hypercalls takes more than a second.
    slow = ["strace", "-qq", "-o", "/dev/null", "-p", str(receiver.pid), "-e", "inject=ioctl:delay_enter=1500000"]
    with subprocess.Popen(slow):
        while "TracerPid:\t0\n" in open("/proc/%d/status" % receiver.pid).read():
            time.sleep(0.05)
        write(to_receiver, message)
        while subprocess.run(["stockxl", "domid", "cut"], capture_output=True).returncode:
            pass
        receiver.kill()
    end()


back("banner", 54)
start = read(0, 48)
forth("xl header", struct.unpack("<I", start[44:])[0], start)
forth("libxl header", 16)
records(LIBXL, LIBXC_CONTEXT)
back("READY", 34)
go()
back("REPORT", 39)
if back("status", 1) != b"\0":
    back("GO back", 44)
sys.exit(1 if receiver.wait() else 0)
