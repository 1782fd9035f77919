"""Attacks on processes: surviving, signalling, tracing, reading their memory and environment, the neighbour."""

from __future__ import annotations

from trials.hostile.program import Outcome, Program, attack

_PATIENT_NEIGHBOUR = "import time\ntime.sleep(1)\ndef f(x):\n    return x + 1\n"
_SHARING_NEIGHBOUR = """
import ctypes, os, time
libc = ctypes.CDLL(None)
SECRET = b"REACHED by the neighbour"
def share():
    libc.shmat.restype = ctypes.c_void_p
    segment = libc.shmget(0x4D4745, 4096, 0o1666)
    if segment >= 0:
        address = libc.shmat(segment, None, 0)
        if address not in (None, 2**64 - 1):
            ctypes.memmove(address, SECRET, len(SECRET))
    for path in ("/dev/shm/@TOKEN@", os.environ["TMPDIR"] + "/@TOKEN@", "/tmp/@TOKEN@"):
        try:
            with open(path, "wb") as file:
                file.write(SECRET)
            os.chmod(path, 0o666)
        except OSError:
            pass
share()
time.sleep(1)
def f(x):
    return x + 1
"""

PROGRAMS = [
    attack("forks twice and stays", """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for s in range(1, 65):
            try:
                signal.signal(s, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
        time.sleep(600)
    os._exit(0)
os.wait()
"""),
    attack("a family that renews itself", """
if os.fork() == 0:
    os.setsid()
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            if os.fork():
                os._exit(0)
        except OSError:
            pass
"""),
    attack("many that stay", """
for _ in range(50):
    try:
        if os.fork() == 0:
            os.setsid()
            time.sleep(600)
    except OSError:
        break
"""),
    attack("stopped and traced children that stay", """
for _ in range(5):
    if os.fork() == 0:
        os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(600)
"""),
    attack("subprocesses that stay", """
import subprocess
for line in ([sys.executable, "-S", "-c", "import time; time.sleep(600)"], ["/bin/sh", "-c", "sleep 600 & sleep 600"]):
    try:
        subprocess.Popen(line, start_new_session=True, close_fds=False)
    except OSError:
        pass
"""),
    attack("live threads", """
import threading
for _ in range(10):
    threading.Thread(target=time.sleep, args=(600,)).start()
"""),
    attack("an atexit hook that waits", """
import atexit
atexit.register(time.sleep, 600)
"""),
    attack("signals to everybody", """
for pid in (FACTS["caller"], FACTS["bystander"], 1, os.getppid()):
    if pid > 1:
        reach("signal %d" % pid, lambda: os.kill(pid, 0) or "allowed" if not os.path.exists("/proc/1/comm") or pid != os.getppid() else None)
for pid in range(2, 400):
    if pid not in (os.getpid(), os.getppid()):
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass
"""),
    attack("kills all that it may, the neighbour's run beside it", """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for s in (signal.SIGTERM, signal.SIGSTOP, signal.SIGKILL):
    if os.fork() == 0:
        try:
            os.kill(-1, s)
        except OSError:
            pass
        os._exit(0)
""", neighbour=_PATIENT_NEIGHBOUR),
    attack("kills its monitor", """
for s in (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM, signal.SIGSEGV):
    for pid in {1, os.getppid(), os.getpgid(0), os.getsid(0)} - {os.getpid(), 0}:
        try:
            os.kill(pid, s)
        except OSError:
            pass
"""),
    attack("signals by a descriptor's owner", """
import fcntl
r, w = os.pipe()
a, b = socket.socketpair()
for fd in (r, a.fileno()):
    for pid in (FACTS["bystander"], FACTS["caller"], os.getppid()):
        try:
            fcntl.fcntl(fd, fcntl.F_SETOWN, pid)
            fcntl.fcntl(fd, 10, signal.SIGKILL)
            fcntl.fcntl(fd, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
            os.write(w, b"x")
            b.send(b"x")
        except OSError:
            pass
"""),
    attack("signals by queue, thread and descriptor", """
for pid in (FACTS["bystander"], FACTS["caller"]):
    if os.path.exists("/proc/%d" % pid) or not os.path.exists("/proc/1"):
        info = (ctypes.c_int * 32)(signal.SIGKILL, 0, -1)
        reach("queue", lambda: call(number(129, 138), pid, 0, info) == 0 or None)
        reach("thread", lambda: call(number(234, 131), pid, pid, 0) == 0 or None)
        reach("descriptor", lambda: signal.pidfd_send_signal(os.pidfd_open(pid), 0) or "allowed")
""".replace("if os.path.exists(\"/proc/%d\" % pid) or not os.path.exists(\"/proc/1\"):", "if pid != os.getpid():")),
    attack("stops process 1 by ptrace", """
for pid in {1, os.getppid(), FACTS["caller"], FACTS["bystander"]} - {0}:
    reach("attach %d" % pid, lambda: libc.ptrace(16, pid, 0, 0) == 0 or None)
    reach("seize %d" % pid, lambda: libc.ptrace(0x4206, pid, 0, 0) == 0 or None)
"""),
    attack("reads and writes the memory of others", """
for pid in {1, os.getppid(), FACTS["caller"], FACTS["bystander"]} - {0, os.getpid()}:
    reach("mem %d" % pid, lambda: open("/proc/%d/mem" % pid, "rb") and pid)
    reach("maps %d" % pid, lambda: open("/proc/%d/maps" % pid).read(100) or None)
    buffer = ctypes.create_string_buffer(64)
    parts = (ctypes.c_void_p * 2)(ctypes.addressof(buffer), 64)
    reach("readv %d" % pid, lambda: call(number(310, 270), pid, parts, 1, parts, 1, 0) >= 0 or None)
    reach("getfd %d" % pid, lambda: call(438, os.pidfd_open(pid), 0, 0) >= 0 or None)
"""),
    attack("environments", """
reach("own", lambda: {k: v for k, v in os.environ.items() if "canary" in v or k.startswith(("MGE_", "DJANGO", "DATABASE", "ANTHROPIC"))} or None)
pids = {1, os.getppid(), FACTS["caller"], FACTS["bystander"]}
try:
    pids |= {int(n) for n in os.listdir("/proc") if n.isdigit()}
except OSError:
    pass
for pid in pids - {os.getpid(), 0}:
    def environment():
        text = open("/proc/%d/environ" % pid, "rb").read()
        names = {part.split(b"=")[0] for part in text.split(b"\\0") if part}
        return names - {b"PYTHONHASHSEED", b"MALLOC_ARENA_MAX", b"LD_LIBRARY_PATH", b"PWD", b"LC_CTYPE"} or None
    reach("environ %d" % pid, environment)
libc.environ = None
"""),
    attack("command lines and folders of others", """
def lines():
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) not in (os.getpid(), os.getppid()):
            try:
                text = open("/proc/%s/cmdline" % name, "rb").read()
            except OSError:
                continue
            if text and b"mge_inside" not in text:
                found.append(text[:60])
    return found or None
reach("command lines", lines)
"""),
    attack("the caller's and the stack's memory by gc and ctypes", """
import gc
words = []
for o in gc.get_objects():
    if type(o) is dict:
        for k, v in list(o.items()):
            if isinstance(v, str) and "canary-" in v and "canary-" + "\\"" not in v and k not in ("source", "text"):
                words.append((str(k), v[:80]))
reach("words", lambda: [w for w in words if w[1].startswith("canary-")] or None)
"""),
    attack("priorities and processors of others", """
for pid in (FACTS["bystander"], FACTS["caller"]):
    reach("affinity", lambda: os.sched_setaffinity(pid, {0}) or "set")
    reach("priority", lambda: os.setpriority(os.PRIO_PROCESS, pid, 19) or "set")
    import resource
    reach("limits", lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE, (1, 1)) or "set")
reach("a better priority", lambda: os.nice(-5) or "set")
reach("real time", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)) or "set")
"""),
    attack("memory shared with a neighbour", """
time.sleep(0.5)
libc.shmat.restype = ctypes.c_void_p
def segment():
    found = libc.shmget(0x4D4745, 4096, 0o666)
    return ctypes.string_at(libc.shmat(found, None, 0), 24) if found >= 0 else None
reach("SysV segment", segment)
for path in ("/dev/shm/" + FACTS["token"], "/tmp/" + FACTS["token"]):
    reach(path, lambda: open(path).read())
base = os.path.dirname(os.path.dirname(os.environ["TMPDIR"]))
def rooms():
    for name in os.listdir(base):
        path = base + "/" + name + "/scratch/" + FACTS["token"]
        if os.path.exists(path):
            return open(path).read()
reach("rooms", rooms)
""", neighbour=_SHARING_NEIGHBOUR),
    attack("message queues and semaphores", """
reach("mq_open", lambda: call(number(240, 180), b"mge", os.O_CREAT | os.O_RDWR, 0o600, 0) >= 0 or None)
reach("msgget", lambda: libc.msgget(0x4D4745, 0o1666) >= 0 or None)
reach("semget", lambda: libc.semget(0x4D4745, 1, 0o1666) >= 0 or None)
def named():
    from multiprocessing import shared_memory
    block = shared_memory.SharedMemory(name=FACTS["token"], create=True, size=16)
    return None
try:
    named()
except OSError:
    pass
"""),
    attack("locks that a neighbour needs", """
import fcntl
for entry in (os.__file__, sys.executable):
    try:
        fcntl.flock(os.open(entry, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        pass
time.sleep(0.5)
""", neighbour="import fcntl, json, os, time\ntime.sleep(0.2)\ndef f(x):\n    return x + 1\n"),
    attack("eats processes beside a neighbour", """
children = []
for _ in range(100):
    try:
        pid = os.fork()
    except OSError:
        break
    if pid == 0:
        time.sleep(1)
        os._exit(0)
    children.append(pid)
time.sleep(0.7)
for pid in children:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
""", neighbour="import subprocess, sys, time, threading\ntime.sleep(0.3)\nt = threading.Thread(target=print)\nt.start()\nt.join()\ndef f(x):\n    return x + 1\n"),
    attack("searches its own memory for what others left in it", """
import re
secret = re.compile(rb"canary-[a-z]+-[0-9a-f]{16}|a secret of the neighbour [0-9a-f]{16}")
found, (reading, writing) = [], os.pipe()
libc.malloc.restype = libc.sbrk.restype = ctypes.c_void_p
# /proc/self/mem is closed to us; write() says EFAULT where nothing is mapped, instead of ending the process.
for middle in (id(object()), id([]), libc.malloc(100), libc.malloc(1 << 22), libc.sbrk(0)):
    first = max(0, middle - (96 << 20)) & ~4095
    for address in range(first, first + (192 << 20), 4096):
        if libc.write(writing, ctypes.c_void_p(address), ctypes.c_size_t(4096)) == 4096:
            page = os.read(reading, 4096)
            found += secret.findall(page)
reach("memory", lambda: found or None)
""", neighbour="import time\nSECRET = 'a secret of the neighbour 0123456789abcdef'\ntime.sleep(0.3)\ndef f(x):\n    return x + 1\n"),
    attack("kills what stands near it in the table of processes", """
own = os.getpid()
for pid in range(max(2, own - 3000), own + 100):
    if pid != own and os.getuid() != 0:
        for one in (pid, -pid):
            try:
                os.kill(one, signal.SIGKILL)
            except OSError:
                pass
try:
    os.killpg(os.getpgid(os.getppid()), signal.SIGKILL)
except OSError:
    pass
""", neighbour=_PATIENT_NEIGHBOUR),
    Program(
        "closes what the monitor talks through",
        "import os\nfor fd in list(range(0, 3)) + list(range(3, 9)) + list(range(10, 256)):\n    try:\n        os.close(fd)\n"
        "    except OSError:\n        pass\ndef f(x):\n    return x + 1\n",
        Outcome.HARMLESS,
    ),
]  # fmt: skip
