"""Grants a level by attacking it: a program in the sandbox tries each attack, and none may work.

Looking for a binary proves nothing (a container may hold bwrap and refuse namespaces), so only this does.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from executions.validation.sandbox.isolation import Check, Launch, SandboxJob, SandboxUnavailable
from executions.validation.sandbox.limits import Limits
from executions.validation.sandbox.run import Run
from executions.validation.sandbox.runner import RUNNER_FOLDER
from executions.validation.sandbox.service import Service

_ATTACKS = (
    ("test_network", "reach the host's network"),
    ("test_unix_sockets", "reach the host's unix sockets"),
    ("test_foreign_files", "read the host's files"),
    ("test_foreign_environments", "read the environment of other processes"),
    ("test_writing_outside", "write outside its scratch folder"),
    ("test_changing_the_project", "change the project's files"),
    ("test_other_processes", "signal or trace other processes"),
    ("test_dangerous_calls", "use system calls that widen its rights"),
    ("test_memory", "use more memory than allowed"),
    ("test_processes", "start more processes than allowed"),
    ("test_large_files", "write larger files than allowed"),
    ("test_pytest", "import pytest (must work)"),
    ("test_leaving_a_process", "leave a process behind"),
)

_BOMB = "test_processes"

# Runs inside. @NAMES@ are replaced by the facts of this machine.
_PROGRAM = """
import ctypes, os, signal, socket, sys
from subject import harmless

libc = ctypes.CDLL(None, use_errno=True)
EXPECT_ENVIRONMENT = {"PYTHONHASHSEED", "MALLOC_ARENA_MAX", "LD_LIBRARY_PATH", "PWD", "LC_CTYPE"}

def refused(action):
    try:
        action()
    except (OSError, MemoryError):
        return True
    return False

def test_network():
    assert harmless()
    def connect():
        with socket.create_connection(("127.0.0.1", @PORT@), timeout=1):
            pass
    assert refused(connect), "connected to the host"
    def send():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.connect(("192.0.2.1", 53))
            s.send(b"x")
    assert refused(send), "has a route to the outside"
    def whisper():  # it may go nowhere without an error; the bait hears it if it does not
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(b"x", ("127.0.0.1", @UDP_PORT@))
    refused(whisper)

def test_unix_sockets():
    for name in (@UNIX_PATH@, "\\0" + @UNIX_ABSTRACT@):
        def connect():
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(name)
        assert refused(connect), name

def test_foreign_files():
    for path in @FILES@:
        assert refused(lambda: open(path).read()), path
    for path in @FOLDERS@:
        assert refused(lambda: os.listdir(path)), path

def test_foreign_environments():
    ours = EXPECT_ENVIRONMENT | {"HOME", "LANG", "PATH", "PYTEST_DISABLE_PLUGIN_AUTOLOAD", "TMPDIR"}
    assert set(os.environ) <= ours, set(os.environ) - ours
    try:
        pids = [name for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        pids = [str(os.getppid()), "1"]
    for pid in pids:
        if int(pid) == os.getpid():
            continue
        try:
            with open("/proc/" + pid + "/environ", "rb") as file:
                names = {item.split(b"=")[0].decode() for item in file.read().split(b"\\0") if item}
        except OSError:
            continue
        assert names <= EXPECT_ENVIRONMENT, names

def test_writing_outside():
    for path in (@MARK@, "/usr/lib/mge", "/dev/mge", "/etc/mge", @HOME@ + "/mge", @PACKAGES@ + "/mge", *@CODE@):
        assert refused(lambda: open(path, "a").close()), path
    before = @MODE@
    os.path.exists(@MARK@) and refused(lambda: os.chmod(@MARK@, 0o777))
    assert not os.path.exists(@MARK@) or os.stat(@MARK@).st_mode & 0o777 == before, "changed a mode"
    with open(os.environ["TMPDIR"] + "/works", "w") as file:
        file.write("x")

def test_changing_the_project():
    for path in ("subject.py", "new.py"):
        assert refused(lambda: open(path, "a").close()), path

def test_other_processes():
    for pid in (os.getppid(), @PID@):
        if pid > 1:
            assert refused(lambda: os.kill(pid, 0)), ("signal", pid)
        if pid > 0:
            assert libc.ptrace(16, pid, 0, 0) == -1, ("trace", pid)
            assert refused(lambda: open("/proc/%d/mem" % pid, "r+b").close()), ("memory", pid)

def test_dangerous_calls():
    libc.syscall.restype = ctypes.c_long
    assert libc.unshare(0x10000000) == -1, "new user namespace"
    assert libc.unshare(0x00020000) == -1, "new mount namespace"
    assert libc.mount(b"none", b"/tmp", b"tmpfs", 0, None) == -1, "mount"
    assert libc.syscall(425, 8, ctypes.create_string_buffer(256)) == -1, "io_uring"
    keyctl = {"x86_64": 250, "aarch64": 219}[os.uname().machine]
    assert libc.syscall(keyctl, 0, -3, 0) == -1, "keyctl"
    assert os.getuid() != 0 and os.geteuid() != 0, "is root"
    capabilities = (ctypes.c_uint32 * 6)()
    assert libc.capget((ctypes.c_uint32 * 2)(0x20080522, 0), capabilities) == 0
    assert not any(capabilities), list(capabilities)

def test_memory():
    assert refused(lambda: bytearray(1 << 30)), "1 GiB"

def test_processes():
    children, stopped = [], False
    reading, writing = os.pipe()
    try:
        for _ in range(200):
            try:
                pid = os.fork()
            except OSError:
                stopped = True
                break
            if pid == 0:
                os.close(writing)
                os.read(reading, 1)
                os._exit(0)
            children.append(pid)
        if not stopped:
            import time
            time.sleep(1)  # whoever counts them from outside does so ten times a second
    finally:
        os.close(writing)
        for pid in children:
            os.waitpid(pid, 0)
    assert stopped, "200 processes"

def test_large_files():
    path = os.environ["TMPDIR"] + "/large"
    def write():
        with open(path, "wb") as file:
            for _ in range(300):
                file.write(bytes(1 << 20))
    assert refused(write), "300 MB"
    os.unlink(path)

def test_pytest():
    sys.path.append(@PACKAGES@)
    import pytest
    assert pytest.raises

def test_leaving_a_process():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            import time
            time.sleep(600)
        os._exit(0)
"""

_SUBJECT = "def harmless():\n    return True\n"


@dataclass(frozen=True, slots=True)
class _Bait:
    """Things of the host that the program is told about and must not reach."""

    folder: Path
    port: int
    udp: socket.socket
    unix_path: str
    unix_abstract: str


def attack(launch: Launch) -> tuple[Check, ...]:
    """One check per attack; a level holds when all are ok. Never raises for what the sandbox does."""
    with _bait() as bait:
        job = SandboxJob(
            files={"subject.py": _SUBJECT},
            target_path="subject.py",
            tests=_program(launch, bait),
            suite="own",
            plan=tuple(("function", "", name) for name, _ in _ATTACKS if name != _BOMB),
            limits=Limits(cpu_seconds=20, wall_seconds=30, outer_seconds=35),
        )
        service = Service(launch, servers=1, parallel=1)
        try:
            result = Run(launch, job).execute(service)
            left = _left_behind(service)
            heard = _has_heard(bait.udp)
            # Apart from the others, for it may be what ends the run.
            bomb = Run(launch, replace(job, plan=(("function", "", _BOMB),))).execute(service)
        except (SandboxUnavailable, OSError) as error:
            return (Check("start", ok=False, detail=str(error)[:500]),)
        finally:
            service.close()
    checks = []
    for test, name in _ATTACKS:
        of = bomb if test == _BOMB else result
        line = next((one for one in of.report.lines if one.kind == "result" and one.test == test), None)
        ok = line is not None and line.outcome == "passed" and not of.report.voided
        ok |= test == _BOMB and of.killed_for == "processes"
        detail = "" if ok else (line.message if line else f"no result ({of.killed_for or of.output[-200:]})")
        if test == "test_leaving_a_process" and left:
            ok, detail = False, f"{left} processes were left"
        if test == "test_network" and heard:
            ok, detail = False, "a datagram reached the host"
        checks.append(Check(name, ok=ok, detail=detail[:300]))
    failed = [line for line in result.report.lines if line.kind == "not-loaded"]
    if failed:
        return (Check("start", ok=False, detail=failed[0].message[:300]),)
    return tuple(checks)


def processes_of_runs(service: Service) -> list[int]:
    """Processes of runs that are still in the host's process table: all below the supervisor but the fork servers."""
    if service.pid is None:
        return []
    parents: dict[int, int] = {}
    commands: dict[int, bytes] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = Path(f"/proc/{name}/stat").read_bytes().rsplit(b")", 1)
            parents[int(name)] = int(stat[1].split()[1])
            commands[int(name)] = stat[0].partition(b"(")[2]
        except OSError:
            continue
    found = []
    for pid in parents:
        depth, above, servers = 0, pid, 0
        while above not in (0, service.pid):
            servers += commands.get(above, b"").startswith(b"bwrap")
            above, depth = parents.get(above, 0), depth + 1
        # Below the supervisor: (bwrap, which waits) and the fork server, then the runs.
        if above == service.pid and depth > 1 + servers:
            found.append(pid)
    return found


def _has_heard(udp: socket.socket) -> bool:
    try:
        return bool(udp.recv(1))
    except BlockingIOError:
        return False


def _left_behind(service: Service) -> int:
    """How many are still there after at most two seconds."""
    deadline = time.monotonic() + 2
    while (left := processes_of_runs(service)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return len(left)


def _program(launch: Launch, bait: _Bait) -> str:
    home = Path(os.path.expanduser("~"))
    mark = bait.folder / "mark"
    files = [
        "/etc/shadow",
        "/etc/passwd",
        "/etc/hostname",
        str(mark),
        f"/proc/{os.getpid()}/environ",
        str(Path(__file__).resolve()),
    ]
    facts = {
        "PORT": bait.port,
        "UNIX_PATH": bait.unix_path,
        "UNIX_ABSTRACT": bait.unix_abstract,
        "FILES": files,
        "FOLDERS": [str(home), str(bait.folder)],
        "HOME": str(home),
        "CODE": [str(Path(__file__).resolve()), str(RUNNER_FOLDER / "mge.py"), f"{launch.runner}/mge.py"],
        "UDP_PORT": bait.udp.getsockname()[1],
        "MARK": str(mark),
        "MODE": mark.stat().st_mode & 0o777,
        "PID": 0
        if launch.room == ""
        else os.getpid(),  # in another process namespace our number means another
        "PACKAGES": launch.packages,
    }
    text = _PROGRAM
    for name, value in facts.items():
        text = text.replace(f"@{name}@", repr(value))
    return text


@contextlib.contextmanager
def _bait() -> Iterator[_Bait]:
    folder = Path(tempfile.mkdtemp(prefix="mge-bait-"))
    folder.chmod(0o755)
    (folder / "mark").write_text("bait")
    (folder / "mark").chmod(0o644)
    abstract = f"mge-bait-{secrets.token_hex(8)}"
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", 0))
        udp.setblocking(False)
        for address in (str(folder / "socket"), "\0" + abstract):
            server = stack.enter_context(socket.socket(socket.AF_UNIX))
            server.bind(address)
            server.listen()
        (folder / "socket").chmod(0o777)
        yield _Bait(folder, tcp.getsockname()[1], udp, str(folder / "socket"), abstract)
