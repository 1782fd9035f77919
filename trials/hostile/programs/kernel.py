"""Attacks on the kernel's doors: new namespaces, mounts, rings, keys, programs, rights."""

from __future__ import annotations

from trials.hostile.program import attack

PROGRAMS = [
    attack("new namespaces", """
for flag in (0x10000000, 0x00020000, 0x40000000, 0x20000000, 0x08000000, 0x04000000, 0x02000000, 0x80):
    reach("unshare %x" % flag, lambda: libc.unshare(flag) == 0 or None)
    def clone():
        if flag == 0x80:  # in clone's word that is a signal
            return None
        pid = call(number(56, 220), flag | signal.SIGCHLD, 0, 0, 0, 0)
        if pid == 0:
            os._exit(0)
        return "%x" % flag if pid > 0 else None
    reach("clone", clone)
reach("setns", lambda: libc.setns(os.open("/proc/1/ns/net", os.O_RDONLY), 0) == 0 or None)
"""),
    attack("namespaces by clone3", """
class Arguments(ctypes.Structure):
    _fields_ = [(n, ctypes.c_uint64) for n in ("flags", "pidfd", "child", "parent", "signal", "stack", "size", "tls")]
def clone3():
    a = Arguments(flags=0x10000000, signal=signal.SIGCHLD)
    pid = call(435, ctypes.byref(a), ctypes.sizeof(a))
    if pid == 0:
        os._exit(0)
    return pid if pid > 0 else None
reach("clone3", clone3)
"""),
    attack("mounts", """
reach("mount", lambda: libc.mount(b"none", os.environ["TMPDIR"].encode(), b"tmpfs", 0, None) == 0 or None)
reach("remount", lambda: libc.mount(None, b"/", None, 32 | 4096, None) == 0 or None)
reach("umount", lambda: libc.umount2(b"/proc", 2) == 0 or None)
for n in (428, 429, 430, 432, 433, 442):
    reach("new mount call %d" % n, lambda: call(n, -100, b"/", 0, 0, 0) >= 0 or None)
reach("chroot", lambda: os.chroot("/") or "done")
reach("pivot", lambda: call(number(155, 41), b"/", b"/tmp") == 0 or None)
"""),
    attack("io_uring", """
reach("setup", lambda: call(425, 8, ctypes.create_string_buffer(256)) >= 0 or None)
"""),
    attack("keys", """
reach("keyctl", lambda: call(number(250, 219), 0, -3, 0) >= 0 or None)
reach("add_key", lambda: call(number(248, 217), b"user", b"mge", b"x", 1, -3) >= 0 or None)
reach("request_key", lambda: call(number(249, 218), b"user", b"mge", None, -3) >= 0 or None)
"""),
    attack("programs for the kernel", """
reach("bpf", lambda: call(number(321, 280), 0, ctypes.create_string_buffer(128), 128) >= 0 or None)
reach("perf", lambda: call(number(298, 241), ctypes.create_string_buffer(128), 0, -1, -1, 0) >= 0 or None)
reach("userfaultfd", lambda: call(number(323, 282), 1) >= 0 or None)
reach("module", lambda: call(number(175, 105), b"", 0, b"") == 0 or None)
reach("kexec", lambda: call(number(246, 104), 0, 0, None, 0) == 0 or None)
"""),
    attack("the machine's own settings", """
reach("name", lambda: socket.sethostname("mge") or "set")
reach("clock", lambda: time.clock_settime(time.CLOCK_REALTIME, 0) or "set")
reach("log", lambda: libc.klogctl(3, ctypes.create_string_buffer(1000), 1000) > 0 or None)
reach("swap", lambda: libc.swapoff(b"/swapfile") == 0 or None)
reach("reboot", lambda: libc.reboot(0) == 0 or None)
for path in ("/proc/sys/kernel/core_pattern", "/proc/sys/vm/overcommit_memory", "/sys/kernel/mm/transparent_hugepage/enabled", "/proc/sysrq-trigger"):
    reach(path, lambda: open(path, "r+") and path)
"""),
    attack("control groups", """
for path in ("/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/memory/cgroup.procs", "/sys/fs/cgroup/pids/cgroup.procs"):
    reach(path, lambda: open(path, "w") and path)
reach("new group", lambda: os.mkdir("/sys/fs/cgroup/" + FACTS["token"]) or "made")
"""),
    attack("rights and users", """
reach("root", lambda: "root" if os.geteuid() == 0 or os.getuid() == 0 else None)
for action in (lambda: os.setuid(0), lambda: os.setresuid(0, 0, 0), lambda: os.setgid(0), lambda: os.setgroups([0])):
    try:
        action()
    except OSError:
        pass
reach("root afterwards", lambda: "root" if os.geteuid() == 0 else None)
def capabilities():
    for line in open("/proc/self/status"):
        if line.startswith(("CapPrm", "CapEff", "CapAmb")) and int(line.split()[1], 16):
            return line
reach("capabilities", capabilities)
reach("no_new_privs", lambda: libc.prctl(39, 0, 0, 0, 0) == 0 or None)
for name in ("/bin/su", "/usr/bin/su", "/usr/bin/sudo", "/usr/bin/passwd"):
    reach(name, lambda: os.spawnv(os.P_WAIT, name, [name, "-c", "true"]) == 0 or None)
"""),
    attack("another filter, other personalities", """
reach("seccomp", lambda: libc.prctl(22, 2, 0, 0, 0) == 0 or None)
reach("personality", lambda: libc.personality(0x0040000) >= 0 or None)
reach("dumpable parent", lambda: open("/proc/%d/fd/0" % os.getppid()) and "opened")
reach("ldt", lambda: os.uname().machine == "x86_64" and call(154, 1, ctypes.create_string_buffer(16), 16) == 0 or None)
"""),
    attack("calls of another architecture", """
import mmap
if os.uname().machine == "x86_64":
    pid = os.fork()
    if pid == 0:
        # int 0x80 with the 32-bit number of getpid, and an x32 twin: both must be refused or deadly.
        page = mmap.mmap(-1, 4096, prot=7)
        page.write(bytes.fromhex("b814000000cd80c3"))
        enter = ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
        os._exit(99 if enter() == os.getpid() else 0)
    status = os.waitpid(pid, 0)[1]
    reach("32-bit call", lambda: "worked" if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 99 else None)
    reach("x32 call", lambda: call(0x40000000 + 39) > 0 or None)
"""),
    attack("memory that others cannot see", """
reach("memfd_secret", lambda: call(447, 0) >= 0 or None)
reach("process_madvise", lambda: call(440, 0, 0, 0, 0, 0) >= 0 or None)
reach("executable memory file", lambda: None)
"""),
]  # fmt: skip
