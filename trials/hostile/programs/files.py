"""Attacks on files of the host: reading, writing, changing, linking."""

from __future__ import annotations

from trials.hostile.program import attack

PROGRAMS = [
    attack("reads secrets", """
for path in ("/etc/shadow", "/etc/passwd", "/etc/hostname", FACTS["folder"] + "/mark", FACTS["folder"] + "/private",
             FACTS["settings"], FACTS["project"] + "/manage.py", FACTS["project"] + "/mge_site/settings.py",
             FACTS["home"] + "/.bashrc", FACTS["home"] + "/.profile", "/var/log/dpkg.log"):
    reach(path, lambda: open(path, errors="replace").read(200))
"""),
    attack("lists folders", """
for path in ("/root", "/home", FACTS["home"], FACTS["folder"], FACTS["project"], "/var", "/etc", "/work", "/srv"):
    reach(path, lambda: os.listdir(path) if not path.startswith("/etc") else open("/etc/passwd").read())
"""),
    attack("writes to home, project and packages", """
for folder in (FACTS["home"], FACTS["project"], FACTS["site_packages"], FACTS["folder"], "/", "/usr/lib", "/etc", "/dev",
               "/dev/mqueue", "/run", "/var/tmp", os.path.dirname(os.__file__)):
    reach("write " + folder, lambda: open(folder + "/" + FACTS["token"], "w") and folder)
    reach("mkdir " + folder, lambda: os.mkdir(folder + "/" + FACTS["token"]) or folder)
"""),
    attack("changes, moves and removes the bait", """
mark = FACTS["folder"] + "/mark"
reach("append", lambda: open(mark, "a").write("x"))
reach("truncate", lambda: os.truncate(mark, 0) or "done")
reach("move", lambda: os.rename(mark, mark + "2") or "done")
reach("move here", lambda: os.rename(mark, os.environ["TMPDIR"] + "/mark") or "done")
for action in (lambda: os.unlink(mark), lambda: os.chmod(mark, 0o777), lambda: os.utime(mark, (1, 1)),
               lambda: os.chown(mark, os.getuid(), -1), lambda: os.setxattr(mark, "user.x", b"y")):
    try:
        action()
    except OSError:
        pass
"""),
    attack("links from its scratch to the host", """
here = os.environ["TMPDIR"]
for n, path in enumerate(("/etc/shadow", "/etc/passwd", FACTS["folder"] + "/mark", FACTS["settings"], FACTS["home"])):
    try:
        os.symlink(path, here + "/soft%d" % n)
    except OSError:
        continue
    reach("soft " + path, lambda: open(here + "/soft%d" % n).read(100))
    reach("soft list " + path, lambda: os.listdir(here + "/soft%d" % n))
    reach("hard " + path, lambda: os.link(path, here + "/hard%d" % n) or "linked")
    reach("follow " + path, lambda: os.link(here + "/soft%d" % n, here + "/h%d" % n, follow_symlinks=True) or open(here + "/h%d" % n).read(10))
"""),
    attack("leaves links behind for whoever cleans up", """
here = os.environ["TMPDIR"]
os.mkdir(here + "/a")
os.symlink(FACTS["folder"], here + "/a/out")
os.symlink(FACTS["folder"], here + "/out")
os.symlink("/", here + "/a/root")
os.symlink(here, here + "/a/loop")
"""),
    attack("swaps a folder for a link while it is cleaned up", """
here = os.environ["TMPDIR"]
if os.fork() == 0:
    os.setsid()
    while True:
        try:
            os.mkdir(here + "/swap")
            open(here + "/swap/mark", "w").close()
            os.rename(here + "/swap", here + "/gone")
            os.symlink(FACTS["folder"], here + "/swap")
            os.unlink(here + "/swap")
            os.unlink(here + "/gone/mark")
            os.rmdir(here + "/gone")
        except OSError:
            pass
"""),
    attack("changes the runner's files through a descriptor", """
import mge_inside
folder = os.path.dirname(mge_inside.__file__)
for name in ("suite.py", "assertions.py", "channel.py"):
    path = folder + "/" + name
    reach("write", lambda: open(path, "a") and path)
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        continue
    for action in (lambda: os.fchmod(file, 0o755), lambda: os.fchown(file, -1, os.getgid()), lambda: os.utime(file, (1, 1)),
                   lambda: os.write(os.open("/proc/self/fd/%d" % file, os.O_WRONLY), b"x")):
        try:
            action()
        except OSError:
            pass
    def attribute():
        os.setxattr(file, "user.mge", b"x")
        return os.getxattr(file, "user.mge")
    reach("attribute", attribute)
    def flags():
        import fcntl
        word = bytearray(8)
        fcntl.ioctl(file, 0x80086601, word)
        fcntl.ioctl(file, 0x40086602, bytes([word[0] | 0x80]) + bytes(word[1:]))
        return "flags"
    reach("flags", flags)
"""),
    attack("changes the interpreter's and pytest's files through a descriptor", """
import encodings
places = [os.__file__, encodings.__file__, sys.executable]
for entry in sys.path:
    if os.path.isdir(entry + "/_pytest"):
        places.append(entry + "/_pytest/python.py")
for path in places:
    reach("write " + path, lambda: open(path, "ab") and path)
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        continue
    before = os.fstat(file).st_mode
    def mode():
        os.fchmod(file, 0o700)
        after = os.fstat(file).st_mode
        os.fchmod(file, before & 0o7777)
        return path if after != before else None
    reach("mode", mode)
""", runners=("own", "pytest")),
    attack("its own project", """
for path in os.listdir("."):
    reach("write " + path, lambda: open(path, "a") and path)
    reach("remove " + path, lambda: os.unlink(path) or path)
reach("new", lambda: open("new.py", "w") and "new.py")
"""),
    attack("a pipe by name for the host to hang on", """
for folder in (os.environ["TMPDIR"], FACTS["folder"], FACTS["home"]):
    try:
        os.mkfifo(folder + "/" + FACTS["token"])
    except OSError:
        pass
reach("the bait's fifo", lambda: os.open(FACTS["folder"] + "/fifo", os.O_RDWR | os.O_NONBLOCK))
"""),
    attack("devices", """
for name in ("mem", "kmem", "port", "vda", "sda", "kvm", "fuse", "loop-control", "vhost-vsock", "kmsg", "uinput"):
    reach(name, lambda: os.open("/dev/" + name, os.O_RDONLY))
try:
    os.mknod(os.environ["TMPDIR"] + "/disk", 0o060666, os.makedev(254, 0))
    reach("own device", lambda: os.open(os.environ["TMPDIR"] + "/disk", os.O_RDONLY))
except OSError:
    pass
reach("a terminal", lambda: os.open("/dev/tty", os.O_RDWR))
"""),
    attack("the file system by handles and old mounts", """
reach("root", lambda: os.open("/proc/1/root/etc/passwd", os.O_RDONLY))
reach("cwd", lambda: os.listdir("/proc/%d/cwd" % FACTS["caller"]) or None)
reach("parent", lambda: open("/proc/%d/root/etc/passwd" % os.getppid()).read(10))
reach("up", lambda: open("../" * 30 + "etc/passwd").read(10))
reach("handle", lambda: call(number(303, 264), -100, b"/", ctypes.create_string_buffer(256), ctypes.byref(ctypes.c_int()), 0) >= 0 or None)
"""),
    attack("inherited descriptors", """
for fd in range(0, 1024):
    try:
        name = os.readlink("/proc/self/fd/%d" % fd)
    except OSError:
        try:
            kind = os.fstat(fd).st_mode
        except OSError:
            continue
        name = "regular or folder" if kind >> 12 in (0o4, 0o10) else ""
    if name.startswith("/") and not name.startswith("/dev/null") or name.startswith(("socket:", "regular")):
        reach("descriptor", lambda: "%d %s" % (fd, name))
"""),
    attack("core dumps and limits", """
import resource
for kind in range(16):
    soft, hard = resource.getrlimit(kind)
    reach("a higher limit", lambda: resource.setrlimit(kind, (soft, hard + 4096 if hard > 0 else hard)) or kind if hard > 0 else None)
os.chdir(os.environ["TMPDIR"])
if os.fork() == 0:
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (-1, -1))
    except (OSError, ValueError):
        pass
    os.abort()
os.wait()
reach("a core", lambda: [n for n in os.listdir(".") if n.startswith("core")] or None)
"""),
]  # fmt: skip
