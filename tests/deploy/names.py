"""A name server for one name, panel.default.svc.cluster.local: this machine."""
import socket
import struct

server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
while True:
    question, asker = server.recvfrom(512)
    at, labels = 12, []
    while question[at]:
        labels.append(question[at + 1 : at + 1 + question[at]])
        at += question[at] + 1
    kind = struct.unpack(">H", question[at + 1 : at + 3])[0]
    known = b".".join(labels).lower() == b"panel.default.svc.cluster.local"
    answer = b""
    if known and kind == 1:
        answer = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 5, 4) + bytes([127, 0, 0, 1])
    flags = 0x8180 if known else 0x8183
    counts = struct.pack(">HHHHH", flags, 1, 1 if answer else 0, 0, 0)
    server.sendto(question[:2] + counts + question[12 : at + 5] + answer, asker)
