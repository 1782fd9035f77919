"""Answers that take more than they may have: processor, memory in all its kinds, disk, processes, output."""

from __future__ import annotations

from trials.hostile.program import attack, exhausts

_BOMB = "import os\ndef f(x):\n    while True:\n        try:\n            os.fork()\n        except OSError:\n            pass\n"

PROGRAMS = [
    exhausts("an endless loop", "def f(x):\n    while True:\n        pass\n", "timeout"),
    exhausts("an endless loop at import", "while True:\n    pass\ndef f(x): pass\n", "timeout"),
    exhausts("the limit's signal caught", "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\ndef f(x):\n    while True:\n        pass\n", "timeout"),
    exhausts("a loop in many processes", "import os\ndef f(x):\n    for _ in range(8):\n        if os.fork() == 0:\n            while True:\n                pass\n    while True:\n        pass\n", "timeout", "process-limit"),
    exhausts("a large power", "def f(x):\n    return 7 ** (10 ** 9)\n", "timeout", "memory-limit"),
    exhausts("memory at once", "def f(x):\n    return bytearray(4 << 30)\n", "memory-limit", waits=False),
    exhausts("memory at import", "x = bytearray(4 << 30)\ndef f(x): pass\n", "memory-limit", waits=False),
    exhausts("memory in small pieces", "def f(x):\n    kept = []\n    while True:\n        kept.append('x' * 100_000 + str(len(kept)))\n", "memory-limit", "timeout", "crashed"),
    exhausts(
        "memory of many processes",
        "import os, time\ndef f(x):\n    for _ in range(8):\n        if os.fork() == 0:\n"
        "            x = bytearray(b'x') * (200 << 20)\n            time.sleep(600)\n    time.sleep(600)\n",
        "memory-limit",
    ),
    exhausts(
        "memory shared by many processes",
        "import mmap, os, time\ndef f(x):\n    for _ in range(8):\n        if os.fork() == 0:\n"
        "            m = mmap.mmap(-1, 350 << 20)\n            for at in range(0, 350 << 20, 4096):\n                m[at] = 1\n"
        "            time.sleep(600)\n    time.sleep(600)\n",
        "memory-limit", "timeout",
    ),
    exhausts(
        "memory files that nobody maps",
        "import os, time\ndef f(x):\n    for _ in range(8):\n        if os.fork() == 0:\n            block, kept = bytes(1 << 20), []\n"
        "            try:\n                while True:\n                    kept.append(os.memfd_create('m'))\n                    for _ in range(15):\n                        os.write(kept[-1], block)\n"
        "            except OSError:\n                time.sleep(600)\n    time.sleep(600)\n",
        "memory-limit", "timeout", "test-failed",
    ),
    exhausts("a fork bomb", _BOMB, "timeout", "process-limit"),
    exhausts("a bomb of threads", "import threading, time\ndef f(x):\n    while True:\n        threading.Thread(target=time.sleep, args=(600,)).start()\n", "test-failed", "timeout", "memory-limit", "crashed", "process-limit"),
    exhausts("endless output", "def f(x):\n    while True:\n        print('x' * 1_000_000)\n", "output-limit"),
    exhausts("endless output on stderr", "import sys\ndef f(x):\n    while True:\n        sys.stderr.write('x' * 1_000_000)\n", "output-limit"),
    exhausts(
        "an endless report",
        "import gc\ndef f(x):\n    for o in gc.get_objects():\n        if type(o).__name__ == 'Channel':\n"
        "            while True:\n                o.say('begin', test='x' * 4000)\n",
        "forged-result", "timeout",
    ),
    exhausts("a message of 100 MB", "def f(x):\n    raise ValueError('x' * (100 << 20))\n", "test-failed", waits=False),
    exhausts("a repr of 100 MB", "class R:\n    def __repr__(self):\n        return 'x' * (100 << 20)\ndef f(x):\n    return R()\n", "test-failed", "always-equal", waits=False),
    exhausts("a segmentation fault", "import ctypes\ndef f(x):\n    ctypes.string_at(0)\n", "crashed", waits=False),
    exhausts("an endless recursion", "def f(x):\n    return f(x)\n", "test-failed", waits=False),
    exhausts("a recursion without limit", "import sys\nsys.setrecursionlimit(10**9)\ndef f(x):\n    return f(x) + 1\n", "crashed", "memory-limit", "test-failed", "timeout"),
    attack(
        "fills the disk",
        """
written, kept = 0, []
def write():
    global written
    for n in range(30):
        with open(os.environ["TMPDIR"] + "/fill%d" % n, "wb") as file:
            for _ in range(15):
                file.write(bytes(1 << 20))
                written += 1
try:
    write()
except OSError:
    pass
time.sleep(0.5)
reach("disk", lambda: "%d MB" % written if written > 100 else None)
""".replace("global written", "nonlocal written"),
    ),
    attack(
        "fills every other place it may write to",
        """
block, written = bytes(1 << 20), 0
for folder in ("/dev/shm", "/tmp", "/var/tmp", "/run", "/dev/mqueue", os.getcwd(), "/"):
    try:
        for n in range(10):
            with open(folder + "/more%d" % n, "wb") as file:
                for _ in range(15):
                    file.write(block)
                    written += 1
    except OSError:
        pass
reach("disk", lambda: "%d MB" % written if written > 100 else None)
""",
    ),
    attack(
        "fills memory by attributes of files",
        """
stored, value = 0, bytes(60_000)
try:
    for n in range(4000):
        path = os.environ["TMPDIR"] + "/a%d" % n
        open(path, "w").close()
        os.setxattr(path, "user.mge", value)
        if len(os.getxattr(path, "user.mge")) == len(value):
            stored += len(value)
except OSError:
    pass
reach("attributes", lambda: "%d MB" % (stored >> 20) if stored > 100 << 20 else None)
""",
    ),
    attack(
        "fills the disk with holes and one large file",
        """
def write():
    with open(os.environ["TMPDIR"] + "/hole", "wb") as file:
        file.truncate(1 << 40)
    return "1 TB"
reach("a hole", write)
""",
    ),
    attack(
        "fills the table of files",
        """
made = 0
try:
    for made in range(120_000):
        os.close(os.open(os.environ["TMPDIR"] + "/n%d" % made, os.O_CREAT | os.O_WRONLY))
except OSError:
    pass
reach("inodes", lambda: "%d files" % made if made > 100_000 else None)
""",
        waits=True,
    ),
    attack(
        "folders in folders",
        """
os.chdir(os.environ["TMPDIR"])
try:
    for n in range(3000):
        os.mkdir("d" * 200)
        os.chdir("d" * 200)
except OSError:
    pass
""",
    ),
    attack(
        "locks its own folders",
        """
base = os.environ["TMPDIR"] + "/locked"
os.makedirs(base + "/in/in")
open(base + "/in/in/file", "w").close()
os.chmod(base + "/in", 0)
os.chmod(base, 0)
""",
    ),
    attack(
        "huge file names",
        """
for name in ("x" * 255, "\\udcff" * 200, "a\\nb\\x1b[2J", "-rf", "..."):
    try:
        open(os.path.join(os.environ["TMPDIR"], name), "w").close()
    except (OSError, UnicodeEncodeError):
        pass
reach("a name too long", lambda: open(os.environ["TMPDIR"] + "/" + "x" * 5000, "w"))
""",
    ),
]  # fmt: skip
