"""Assembles the system call filter that every sandboxed program runs under.

The program is classic BPF over `struct seccomp_data`, assembled by hand once per process; installing it is
two prctl calls in the child (`mge_inside.confinement`). Numbers come from the kernel's asm/unistd_64.h
(x86_64) and asm-generic/unistd.h (aarch64).
"""

from __future__ import annotations

import errno
import platform
import struct
from functools import cache

# (x86_64, aarch64); None: the call does not exist there.
_NUMBERS: dict[str, tuple[int | None, int | None]] = {
    "acct": (163, 89), "add_key": (248, 217), "adjtimex": (159, 171), "bpf": (321, 280),
    "chmod": (90, None), "chown": (92, None), "chroot": (161, 51), "clock_adjtime": (305, 266),
    "clock_settime": (227, 112), "clone": (56, 220), "clone3": (435, 435), "delete_module": (176, 106),
    "fanotify_init": (300, 262), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "fchown": (93, 55),
    "fchownat": (260, 54),
    "finit_module": (313, 273), "fremovexattr": (199, 16),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fsopen": (430, 430),
    "fspick": (433, 433), "fsetxattr": (190, 7), "futimesat": (261, None), "init_module": (175, 105),
    "inotify_init": (253, None), "inotify_init1": (294, 26),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "io_uring_setup": (425, 425), "ioctl": (16, 29), "ioperm": (173, None), "iopl": (172, None),
    "ioprio_set": (251, 30), "kcmp": (312, 272), "kexec_file_load": (320, 294), "kexec_load": (246, 104),
    "keyctl": (250, 219), "lchown": (94, None), "lookup_dcookie": (212, 18), "lremovexattr": (198, 15),
    "lsetxattr": (189, 6), "memfd_create": (319, 279),
    "memfd_secret": (447, 447), "migrate_pages": (256, 238), "modify_ldt": (154, None),
    "mount": (165, 40), "mount_setattr": (442, 442), "move_mount": (429, 429), "move_pages": (279, 239),
    "mq_open": (240, 180), "mq_unlink": (241, 181), "msgctl": (71, 187), "msgget": (68, 186),
    "msgrcv": (70, 188), "msgsnd": (69, 189), "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428), "perf_event_open": (298, 241), "personality": (135, 92),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41), "prlimit64": (302, 261), "process_madvise": (440, 440),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "ptrace": (101, 117),
    "quotactl": (179, 60), "quotactl_fd": (443, 443), "reboot": (169, 142), "removexattr": (197, 14),
    "request_key": (249, 218), "sched_setaffinity": (203, 122), "sched_setattr": (314, 274),
    "sched_setparam": (142, 118), "sched_setscheduler": (144, 119), "semctl": (66, 191), "semget": (64, 190),
    "semop": (65, 193), "semtimedop": (220, 192), "setdomainname": (171, 162), "sethostname": (170, 161),
    "setns": (308, 268), "setpriority": (141, 140), "settimeofday": (164, 170), "setxattr": (188, 5),
    "shmat": (30, 196), "shmctl": (31, 195), "shmget": (29, 194), "socket": (41, 198), "swapoff": (168, 225),
    "swapon": (167, 224), "syslog": (103, 116), "umount2": (166, 39), "unshare": (272, 97),
    "userfaultfd": (323, 282), "utime": (132, None), "utimensat": (280, 88), "utimes": (235, None),
    "vhangup": (153, 58),
}  # fmt: skip

_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}

_DENIED = (
    "acct", "add_key", "adjtimex", "bpf", "chroot", "clock_adjtime", "clock_settime", "delete_module",
    "fanotify_init", "finit_module", "fsconfig", "fsmount", "fsopen", "fspick", "init_module",
    # A user has few of these, and the product may need them.
    "inotify_init", "inotify_init1",
    "io_uring_enter", "io_uring_register", "io_uring_setup", "ioperm", "iopl", "ioprio_set", "kcmp",
    "kexec_file_load", "kexec_load", "keyctl", "lookup_dcookie", "memfd_create", "memfd_secret", "migrate_pages",
    "modify_ldt", "mount", "mount_setattr", "move_mount", "move_pages", "mq_open", "mq_unlink", "msgctl",
    "msgget", "msgrcv", "msgsnd", "name_to_handle_at", "open_by_handle_at", "open_tree", "perf_event_open",
    "personality", "pidfd_getfd", "pivot_root", "process_madvise", "process_vm_readv", "process_vm_writev",
    "ptrace", "quotactl", "quotactl_fd", "reboot", "request_key", "semctl", "semget", "semop", "semtimedop",
    "setdomainname", "sethostname", "setns", "setpriority", "settimeofday", "shmat", "shmctl", "shmget",
    "swapoff", "swapon", "syslog", "umount2", "unshare", "userfaultfd", "vhangup",
)  # fmt: skip
# Fine on oneself (pid 0), not on a neighbour of the same user.
_ONLY_ON_SELF = ("prlimit64", "sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler")
# Landlock does not cover these (docs.kernel.org/userspace-api/landlock, "current limitations"), so with the
# user's own uid they would reach the user's files. They answer "done": shutil.copy must go on working.
_PRETENDED = (
    "chmod", "chown", "fchmod", "fchmodat", "fchmodat2", "fchown", "fchownat", "fremovexattr", "fsetxattr",
    "futimesat", "lchown", "lremovexattr", "lsetxattr", "removexattr", "setxattr", "utime", "utimensat", "utimes",
)  # fmt: skip

# ioctls on a file that is open for reading alone: FS_IOC_SETFLAGS for both sizes of long, FS_IOC_FSSETXATTR.
_REFUSED_IOCTLS = (0x4008_6602, 0x4004_6602, 0x401C_5820)

_NEW_NAMESPACES = 0x7E02_0000  # CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
_FIRST_UNKNOWN_CALL = 463

_LOAD, _JUMP_EQUAL, _JUMP_FROM, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL_PROCESS, _ERRNO = 0x7FFF_0000, 0x8000_0000, 0x0005_0000
# Arguments: the low half of a little-endian number of 64 bits.
_AT_NUMBER, _AT_ARCHITECTURE, _AT_FIRST_ARGUMENT, _AT_SECOND_ARGUMENT = 0, 4, 16, 24


class UnknownArchitecture(RuntimeError):
    """No system call numbers are known for this machine."""


@cache
def assemble(*, no_sockets: bool, pretend_metadata: bool, machine: str = "") -> bytes:
    """The filter as an array of `struct sock_filter`.

    `no_sockets` refuses socket(), which leaves socketpair() and so asyncio; `pretend_metadata` turns chmod
    and its kin into no-ops. Raises UnknownArchitecture.
    """
    machine = machine or platform.machine()
    if machine not in _ARCHITECTURES:
        raise UnknownArchitecture(f"no seccomp filter for {machine}")
    column, architecture = _ARCHITECTURES[machine]

    def refuse(number: int) -> tuple[int, int, int, int]:
        return (_RETURN, 0, 0, _ERRNO | number)

    code = [
        (_LOAD, 0, 0, _AT_ARCHITECTURE),
        (_JUMP_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _AT_NUMBER),
        # Whatever is newer than this list, and the x32 twins of every call, do not exist here.
        (_JUMP_FROM, 0, 1, _FIRST_UNKNOWN_CALL),
        refuse(errno.ENOSYS),
    ]

    def on_call(name: str, *then: tuple[int, int, int, int]) -> None:
        number = _NUMBERS[name][column]
        if number is not None:
            code.append((_JUMP_EQUAL, 0, len(then), number))
            code.extend(then)

    for name in _DENIED:
        on_call(name, refuse(errno.EPERM))
    # clone3 hides its flags in memory; glibc falls back to clone on ENOSYS.
    on_call("clone3", refuse(errno.ENOSYS))
    allow = (_RETURN, 0, 0, _ALLOW)
    first_argument = (_LOAD, 0, 0, _AT_FIRST_ARGUMENT)
    on_call("clone", first_argument, (_JUMP_SET, 0, 1, _NEW_NAMESPACES), refuse(errno.EPERM), allow)
    for name in _ONLY_ON_SELF:
        on_call(name, first_argument, (_JUMP_EQUAL, 1, 0, 0), refuse(errno.EPERM), allow)
    refused = [step for one in _REFUSED_IOCTLS for step in ((_JUMP_EQUAL, 0, 1, one), refuse(errno.EPERM))]
    on_call("ioctl", (_LOAD, 0, 0, _AT_SECOND_ARGUMENT), *refused, allow)
    if no_sockets:
        on_call("socket", refuse(errno.EACCES))
    if pretend_metadata:
        for name in _PRETENDED:
            on_call(name, refuse(0))
    code.append(allow)
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)
