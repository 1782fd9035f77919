"""Attacks that want to talk to somebody."""

from __future__ import annotations

from trials.hostile.program import attack

PROGRAMS = [
    attack("TCP to the host", """
for host in ("127.0.0.1", "::1", "0.0.0.0", "localhost"):
    reach("tcp " + host, lambda: socket.create_connection((host, FACTS["tcp"]), 1) and "connected")
"""),
    attack("UDP to the host", """
def send():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(b"hello", ("127.0.0.1", FACTS["udp"]))
reach("udp", send)
"""),
    attack("TCP and UDP to the world", """
reach("tcp", lambda: socket.create_connection(("192.0.2.1", 80), 1) and "connected")
def send():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(("192.0.2.1", 53))
        s.send(b"hello")
    return "sent"
reach("udp", send)
reach("names", lambda: socket.getaddrinfo("example.org", 80) or None)
"""),
    attack("a unix socket by path", """
def connect():
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(FACTS["unix_path"])
    return "connected"
reach("path", connect)
os.chdir(os.environ["TMPDIR"])
def by_link():
    os.symlink(FACTS["unix_path"], "s")
    with socket.socket(socket.AF_UNIX) as s:
        s.connect("s")
    return "connected"
reach("link", by_link)
"""),
    attack("an abstract unix socket", """
def connect():
    with socket.socket(socket.AF_UNIX) as s:
        s.connect("\\0" + FACTS["unix_abstract"])
    return "connected"
reach("abstract", connect)
def datagram():
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    a.sendto(b"x", "\\0" + FACTS["unix_abstract"])
    return "sent"
reach("datagram of a pair", datagram)
def stream():
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    a.sendto(b"x", FACTS["unix_path"])
    return "sent"
reach("datagram of a pair, path", stream)
def again():
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    a.connect("\\0" + FACTS["unix_abstract"])
    return "connected"
reach("a pair connected anew", again)
"""),
    attack("listens at the host", """
def listen():
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("0.0.0.0", FACTS["closed_port"]))
    s.listen()
    time.sleep(0.3)
try:
    listen()
except OSError:
    pass
"""),
    attack("takes the bait's port away", """
def listen():
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    s.bind(("127.0.0.1", FACTS["tcp"]))
    s.listen()
try:
    listen()
except OSError:
    pass
"""),
    attack("raw, packet and netlink sockets", """
for family, kind, protocol in ((socket.AF_INET, socket.SOCK_RAW, 1), (17, socket.SOCK_RAW, 3)):
    reach("raw %d" % family, lambda: socket.socket(family, kind, socket.htons(protocol)) and None or "opened")
def links():
    s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    s.settimeout(1)
    s.send(struct.pack("=IHHIIBxHiII", 32, 18, 0x301, 1, 0, 0, 0, 0, 0, 0))
    names = s.recv(65536)
    return [n for n in (b"eth", b"ens", b"wlan", b"enp") if n in names] or None
reach("netlink", links)
"""),
    attack("sockets to a hypervisor", """
reach("vsock", lambda: socket.socket(40, socket.SOCK_STREAM).connect((2, 1024)) or "connected")
"""),
]  # fmt: skip
