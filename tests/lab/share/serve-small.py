# serve-small.py DOMID KIND...: plays the drivers of backends of these kinds in a domain: they get ready and let go. In any
# domain but dom0 also its devd, which removes what has let go. One process, not one for each node as with xenstore-read.
# Never returns.
import collections
import socket
import struct
import sys
import time

DIRECTORY, READ, WATCH, WRITE, RM, EVENT, ERROR = 1, 2, 4, 11, 13, 15, 16
xenstored = socket.socket(socket.AF_UNIX)
xenstored.connect("/run/xenstored/socket")
events = collections.deque()


def receive():
    kind, _, _, length = struct.unpack("<IIII", xenstored.recv(16, socket.MSG_WAITALL))
    return kind, xenstored.recv(length, socket.MSG_WAITALL) if length else b""


# The answer, or nothing: nodes come and go.
def ask(kind, *words, end=b"\0"):
    body = b"\0".join(word.encode() for word in words) + end
    xenstored.sendall(struct.pack("<IIII", kind, 0, 0, len(body)) + body)
    while True:
        answer, text = receive()
        if answer != EVENT:
            return text.decode() if answer == kind else ""
        events.append(text.decode())


def children(path):
    return [f"{path}/{name}" for name in ask(DIRECTORY, path).split("\0") if name]


def handle(path):
    if not path.endswith("/state"):
        return
    state = ask(READ, path)
    if state == "1" and path.split("/")[5] not in ("vkbd", "vinput", "pvcalls"):
        ask(WRITE, path, "2", end=b"")
    elif state == "5":
        ask(WRITE, path, "6", end=b"")
    elif state == "6" and domid != "0":
        time.sleep(0.5)  # stock xl takes it for a failure if it does not get to see this state
        ask(RM, path.removesuffix("/state"))


domid, kinds = sys.argv[1], sys.argv[2:]
for kind in kinds:
    root = f"/local/domain/{domid}/backend/{kind}"
    ask(WATCH, root, kind)
    for guest in children(root):
        for device in children(guest):
            handle(f"{device}/state")
while True:
    while events:
        handle(events.popleft().split("\0")[0])
    answer, text = receive()
    events.append(text.decode())
