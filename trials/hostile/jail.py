"""Starts a command in a jail that refuses what a container's default profile refuses, namespaces above all.

`python -m trials.hostile.jail COMMAND…`. The filter is classic BPF, installed on this process and inherited by all that
it starts; as root the rights that a container does not hold are dropped as well.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

# (x86_64, aarch64), from the kernel's asm/unistd_64.h and asm-generic/unistd.h.
_REFUSED = {
    "add_key": (248, 217), "bpf": (321, 280), "fsconfig": (431, 431), "fsmount": (432, 432), "fsopen": (430, 430),
    "io_uring_setup": (425, 425), "keyctl": (250, 219), "mount": (165, 40), "mount_setattr": (442, 442),
    "move_mount": (429, 429), "open_tree": (428, 428), "perf_event_open": (298, 241), "pivot_root": (155, 41),
    "request_key": (249, 218), "setns": (308, 268), "umount2": (166, 39), "unshare": (272, 97),
    "userfaultfd": (323, 282),
}  # fmt: skip
_CLONE, _CLONE3 = (56, 220), 435
_NEW_NAMESPACES = 0x7E02_0000
_ARCHITECTURES = {"x86_64": (0, 0xC000_003E), "aarch64": (1, 0xC000_00B7)}
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF_0000, 0x8000_0000, 0x0005_0000
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _PR_CAPBSET_DROP = 38, 22, 24
# What the usual container engines leave to root: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP,
# NET_BIND_SERVICE, NET_RAW, SYS_CHROOT, MKNOD, AUDIT_WRITE, SETFCAP.
_KEPT_CAPABILITIES = frozenset({0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31})
_LAST_CAPABILITY = 63


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def profile(machine: str) -> bytes:
    """The filter as an array of `struct sock_filter`. Raises KeyError for an unknown architecture."""
    column, architecture = _ARCHITECTURES[machine]
    code = [
        (_LOAD, 0, 0, 4),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),
    ]
    for numbers in _REFUSED.values():
        code += [(_EQUAL, 0, 1, numbers[column]), (_RETURN, 0, 0, _ERRNO | errno.EPERM)]
    # Its flags lie in memory, so the profile refuses it whole; libc then uses clone.
    code += [(_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)]
    code += [
        (_EQUAL, 0, 3, _CLONE[column]),
        (_LOAD, 0, 0, 16),
        (_ANY_BIT, 0, 1, _NEW_NAMESPACES),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in code)


def enter() -> None:
    """Puts this process into the jail for good. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)

    def prctl(option: int, *arguments: object) -> None:
        words = [
            ctypes.c_ulong(word) if isinstance(word, int) else word for word in (*arguments, 0, 0, 0, 0)
        ][:4]
        if libc.prctl(ctypes.c_int(option), *words) < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    if os.geteuid() == 0:
        for capability in set(range(_LAST_CAPABILITY + 1)) - _KEPT_CAPABILITIES:
            try:
                prctl(_PR_CAPBSET_DROP, capability)
            except OSError as error:
                if error.errno != errno.EINVAL:  # this kernel does not know so many
                    raise
    prctl(_PR_SET_NO_NEW_PRIVS, 1)
    code = profile(platform.machine())
    prctl(_PR_SET_SECCOMP, 2, ctypes.byref(_Program(len(code) // 8, code)))


def main() -> None:
    """Becomes the command; exit 2 without one."""
    if len(sys.argv) < 2:
        sys.exit(2)
    enter()
    # As root the new program's rights are cut to what the bounding set still holds.
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - that is what it is for


if __name__ == "__main__":
    main()
