"""Takes everything away from the process that is about to run hostile code: uid, files, calls, limits."""

from __future__ import annotations

import ctypes
import os
import resource
import sys

TYPE_CHECKING = False  # known to type checkers; importing typing costs each run milliseconds
if TYPE_CHECKING:
    from typing import Any

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_KEEPCAPS, _PR_SET_SECCOMP = 1, 4, 8, 22
_PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 36, 38
_SECCOMP_MODE_FILTER = 2
_CAPABILITIES_VERSION_3 = 0x2008_0522  # linux/capability.h
_SIGKILL = 9

# Landlock, docs.kernel.org/userspace-api/landlock. The numbers are the same on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_READ = 1 << 0 | 1 << 2 | 1 << 3  # execute, read file, read directory
_FILE_RIGHTS = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15
_ALL_FS_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1}
_ALL_FS_NEWEST = (1 << 16) - 1
_ALL_NET = 1 << 0 | 1 << 1  # bind and connect TCP, from ABI 4
_ALL_SCOPES = 1 << 0 | 1 << 1  # abstract unix sockets, signals, from ABI 6

_LINUX = sys.platform == "linux"
_libc: Any = ctypes.CDLL(None, use_errno=True) if _LINUX else None


class _RulesetAttributes(ctypes.Structure):
    _fields_ = [("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"  # demanded beside _pack_ from Python 3.19 on
    _fields_ = [("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32)]


class _FilterProgram(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def become_monitor(*, alone: bool) -> None:
    """Makes this process hard to reach and the parent of every orphan below it.

    `alone`: in namespaces of its own, where its end is everybody's. Elsewhere it must not come before we have killed
    the others and cleared the room, so there only the lifeline tells that the caller is gone.
    """
    if _LINUX:
        if alone:
            _prctl(_PR_SET_PDEATHSIG, _SIGKILL)
        _prctl(_PR_SET_DUMPABLE, 0)
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def keep_only(uid: int, capabilities: int) -> None:
    """From root to `uid` with nothing of root's power but these capabilities (a mask of bits)."""
    _prctl(_PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    _set_capabilities(capabilities)
    _prctl(_PR_SET_KEEPCAPS, 0)
    # The change of uid has cleared it.
    _prctl(_PR_SET_PDEATHSIG, _SIGKILL)


def offer_to_the_memory_killer() -> None:
    """Where the machine runs out of memory, runs go before the product does."""
    if _LINUX:
        try:
            with open("/proc/self/oom_score_adj", "w") as file:
                file.write("500")
        except OSError:
            return  # no such file here: then the kernel chooses by size


def adopt_orphans() -> None:
    """Whoever below this process loses its parent becomes its child."""
    if _LINUX:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def landlock_abi() -> int:
    """The kernel's Landlock version; 0 where it has none."""
    if not _LINUX:
        return 0
    version = int(_libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(1)))
    return max(version, 0)


def set_limits(limits: dict[str, int]) -> None:
    """rlimits by their names in the resource module; never above what this process was given."""
    for name, value in limits.items():
        kind = getattr(resource, name)
        _, hard = resource.getrlimit(kind)
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)
        # One second from SIGXCPU, which can be caught, to SIGKILL, which cannot.
        upper = value + 1 if name == "RLIMIT_CPU" and hard == resource.RLIM_INFINITY else value
        resource.setrlimit(kind, (value, upper))


def drop_user(uid: int) -> None:
    """To `uid` for good; its children die with it. 0: stay who we are (never root, except unisolated)."""
    if uid:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    if _LINUX:
        # After the change of uid, which clears it.
        _prctl(_PR_SET_PDEATHSIG, _SIGKILL)
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        # Whoever is in a user namespace of his own still has every capability in it.
        _set_capabilities(0)


def _set_capabilities(mask: int) -> None:
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_VERSION_3, 0)
    # Effective, permitted, inheritable; the lower 32 of each, then the upper.
    sets = (ctypes.c_uint32 * 6)(mask & 0xFFFF_FFFF, mask & 0xFFFF_FFFF, 0, mask >> 32, mask >> 32, 0)
    _checked(_libc.capset(header, sets))


def apply_landlock(readable: list[str], writable: list[str], *, scoped: bool) -> None:
    """From here on only these trees can be opened, and no TCP port. Raises OSError."""
    abi = landlock_abi()
    if abi < 1:
        raise OSError("Landlock is not available")
    fs = _ALL_FS_BY_ABI.get(abi, _ALL_FS_NEWEST)
    attributes = _RulesetAttributes(
        fs, _ALL_NET if abi >= 4 and scoped else 0, _ALL_SCOPES if abi >= 6 and scoped else 0
    )
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    ruleset = _checked(
        _libc.syscall(_CREATE_RULESET, ctypes.byref(attributes), ctypes.c_size_t(size), ctypes.c_uint32(0))
    )
    for rights, paths in ((_READ & fs, readable), (fs, writable)):
        for path in paths:
            _allow(ruleset, path, rights)
    _checked(_libc.syscall(_RESTRICT_SELF, ruleset, ctypes.c_uint32(0)))
    os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        tree = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return  # what is not there needs no rule
    if not os.path.isdir(path):
        rights &= _FILE_RIGHTS
    rule = _PathBeneath(rights, tree)
    _checked(_libc.syscall(_ADD_RULE, ruleset, ctypes.c_int(1), ctypes.byref(rule), ctypes.c_uint32(0)))
    os.close(tree)


def install_filter(program: bytes) -> None:
    """The seccomp filter, an array of `struct sock_filter`. Last of all: it refuses much of the above."""
    filters = _FilterProgram(len(program) // 8, program)
    _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(filters))


def _prctl(option: int, first: Any, second: Any = 0) -> None:
    if not isinstance(first, int):
        raise TypeError("prctl takes a number first")
    second = ctypes.c_ulong(second) if isinstance(second, int) else second
    _checked(
        _libc.prctl(ctypes.c_int(option), ctypes.c_ulong(first), second, ctypes.c_ulong(0), ctypes.c_ulong(0))
    )


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(result)
