"""A process in namespaces of its own, made by one system call, and the file system that it sees.

Only where the fork server lies in a sandbox already (`isolated`): each run gets process, mount, IPC and network
namespaces that no other run shares, and folders that go with them.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct

TYPE_CHECKING = False  # known to type checkers; importing typing costs each run milliseconds
if TYPE_CHECKING:
    from typing import Any

_NEW_MOUNTS, _NEW_IPC, _NEW_USER = 0x0002_0000, 0x0800_0000, 0x1000_0000
_NEW_PROCESSES, _NEW_NETWORK = 0x2000_0000, 0x4000_0000
_SIGCHLD = 17
_CLONE = {"x86_64": 56, "aarch64": 220}

_READ_ONLY, _NO_SUID, _NO_DEVICES, _NO_EXEC, _REMOUNT = 1, 2, 4, 8, 32
_NOBODY = 65534
# As the fork server sees itself: in a new user namespace nobody has a number before the maps are written.
_OUTER = (os.getuid(), os.getgid())

_SET_INTERFACE_FLAGS, _INTERFACE_UP = 0x8914, 1

# Holds the interpreter's lock throughout: the child goes on in the middle of the call.
_libc: Any = ctypes.PyDLL(None, use_errno=True)
_python: Any = ctypes.pythonapi


def fork_into_namespaces(kind: str) -> int:
    """Like os.fork, but the child is process 1 of new namespaces.

    `kind`: "root" when this process has CAP_SYS_ADMIN, "user" when it needs a new user namespace for that, "" for a
    plain fork. Raises OSError.
    """
    if not kind:
        return os.fork()
    flags = _NEW_MOUNTS | _NEW_IPC | _NEW_PROCESSES | _NEW_NETWORK | _SIGCHLD
    if kind == "user":
        flags |= _NEW_USER
    number = _CLONE[os.uname().machine]
    _python.PyOS_BeforeFork()
    pid = int(_libc.syscall(*map(ctypes.c_long, (number, flags, 0, 0, 0, 0))))
    if pid == 0:
        _python.PyOS_AfterFork_Child()
        return 0
    error = ctypes.get_errno()
    _python.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(error, f"no new namespaces: {os.strerror(error)}")
    return pid


def furnish(kind: str, project: str, scratch: str, size: int) -> tuple[int, int]:
    """Mounts the run's folders, writable by this process.

    Returns a descriptor of a /proc in which this process and those below it can be found, and the number of this
    process there. `size` in bytes for each folder. Raises OSError.
    """
    outer, number = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY), int(os.readlink("/proc/self"))
    room = f"size={size},nr_inodes=8192"
    quiet = _NO_SUID | _NO_DEVICES
    _mount("tmpfs", project, "tmpfs", quiet, f"{room},mode=755")
    _mount("tmpfs", scratch, "tmpfs", quiet, f"{room},mode=1777")
    _mount("tmpfs", "/dev/shm", "tmpfs", quiet, f"{room},mode=1777")  # noqa: S108 - the run's own
    # Else a terminal that one run opens could be opened by its neighbour.
    _mount("devpts", "/dev/pts", "devpts", _NO_SUID | _NO_EXEC, "newinstance,ptmxmode=0666,mode=620")
    if kind == "root":
        _mount("proc", "/proc", "proc", quiet | _NO_EXEC)
        os.close(outer)
        outer, number = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY), os.getpid()
    else:
        # The kernel allows no second /proc here, and the first one shows the neighbours.
        _mount("tmpfs", "/proc", "tmpfs", quiet | _READ_ONLY, "size=4k,nr_inodes=2,mode=555")
    _raise_loopback()
    return outer, number


def seal(project: str) -> None:
    """From here on nobody changes the project's files."""
    _mount("tmpfs", project, "", _REMOUNT | _READ_ONLY | _NO_SUID | _NO_DEVICES)


def name_user() -> None:
    """The first thing to do in a new user namespace, while this process is still dumpable. Raises OSError."""
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{_NOBODY} {_OUTER[0]} 1"),
        ("gid_map", f"{_NOBODY} {_OUTER[1]} 1"),
    ):
        descriptor = os.open(f"/proc/self/{name}", os.O_WRONLY)
        os.write(descriptor, text.encode())
        os.close(descriptor)


def _mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    result = _libc.mount(
        source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode()
    )
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"mounting {target}: {os.strerror(number)}")


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as anything:
        fcntl.ioctl(anything, _SET_INTERFACE_FLAGS, struct.pack("16sh14x", b"lo", _INTERFACE_UP))
