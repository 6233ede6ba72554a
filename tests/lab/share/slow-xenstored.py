# A xenstored that takes its time: passes on what comes in at the socket PATH, each request MILLISECONDS later. Never returns.
import socket
import struct
import sys
import threading
import time

path, delay = sys.argv[1], int(sys.argv[2]) / 1000


def whole(end, size):
    text = b""
    while len(text) < size:
        more = end.recv(size - len(text))
        if not more:
            raise EOFError
        text += more
    return text


# Messages begin with their kind and three numbers, of which the last is the length of the rest.
def pass_on(source, target, delay):
    try:
        while True:
            head = whole(source, 16)
            message = head + whole(source, struct.unpack("<IIII", head)[3])
            time.sleep(delay)
            target.sendall(message)
    except (EOFError, OSError):
        for end in source, target:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


listening = socket.socket(socket.AF_UNIX)
listening.bind(path)
listening.listen()
while True:
    client, _ = listening.accept()
    server = socket.socket(socket.AF_UNIX)
    server.connect("/run/xenstored/socket")
    threading.Thread(target=pass_on, args=(client, server, delay), daemon=True).start()
    threading.Thread(target=pass_on, args=(server, client, 0), daemon=True).start()
