"""Level `isolated`: bubblewrap starts a fork server as process 1 of namespaces of its own, and each run gets
namespaces inside these (`mge_inside.namespaces`).

As root there is no user namespace: bubblewrap mounts, the fork server keeps the capabilities to do the same for each
run, and the run is dropped to a uid of its own (RLIMIT_NPROC does nothing for root, and a namespace uid that maps to
root would still open root's files). As an ordinary user everything hangs on user namespaces.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from executions.validation.sandbox.interpreter import Interpreter, pytest_packages
from executions.validation.sandbox.isolation import Launch, host_paths
from executions.validation.sandbox.mge_inside.confinement import landlock_abi
from executions.validation.sandbox.runner import PYTHON_ENVIRONMENT, RUNNER_FOLDER, start_line
from executions.validation.sandbox.seccomp import assemble

_PYTHON, _RUNNER, _PACKAGES = "/python", "/runner", "/packages"
_PROJECT, _SCRATCH = "/project", "/tmp"  # noqa: S108 - a tmpfs of the run's own
_LIBRARIES = ("/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/share/zoneinfo", "/etc/ld.so.cache")
_ALIASES = ("/lib", "/lib32", "/lib64")


def bubblewrap_launch(interpreter: Interpreter) -> Launch | None:
    """The launch for this machine; None when there is no `bwrap` to call."""
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        return None
    is_root = os.geteuid() == 0
    command = [
        bwrap,
        *("--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
        *("--as-pid-1", "--die-with-parent", "--new-session", "--hostname", "sandbox"),
        *(_as_root() if is_root else _as_user()),
        *_mounts(interpreter),
        *("--chdir", "/", "--clearenv"),
    ]
    # bwrap itself starts with an empty environment too: --clearenv alone leaves the caller's in process 1.
    environment = {**PYTHON_ENVIRONMENT, **_library_path(interpreter)}
    for name, value in environment.items():
        command += ["--setenv", name, value]
    kind = "root" if is_root else "user"
    command += start_line(_python_inside(interpreter), _RUNNER, kind=kind, packages=_PACKAGES)
    return Launch(
        command=tuple(command),
        environment={},
        program_environment=environment,
        interpreter=interpreter,
        project=_PROJECT,
        scratch=_SCRATCH,
        room="",
        runner=_RUNNER,
        packages=_PACKAGES,
        own_uid=is_root,
        own_processes=True,
        # A second wall where the kernel has it: it keeps the project read-only for a run of our own uid.
        landlock=landlock_abi() > 0,
        scoped=False,
        seccomp=assemble(no_sockets=False, pretend_metadata=False),
        readable=("/",),
        writable=(_SCRATCH, "/dev"),
    )


def _python_inside(interpreter: Interpreter) -> Interpreter:
    """Under a neutral prefix: a home of mode 0700 would keep the run's own uid from its Python, and nobody
    inside needs to know where it lies."""
    if interpreter.prefix == Path("/usr"):
        return interpreter
    return Interpreter(Path(_PYTHON, "bin", interpreter.executable.name), Path(_PYTHON))


def _library_path(interpreter: Interpreter) -> dict[str, str]:
    """A shared libpython is looked for where it was installed, which is not where it lies inside."""
    moved = interpreter.prefix != Path("/usr") and any((interpreter.prefix / "lib").glob("libpython*.so*"))
    return {"LD_LIBRARY_PATH": f"{_PYTHON}/lib"} if moved else {}


def _as_root() -> list[str]:
    capabilities = ["--cap-drop", "ALL"]
    for name in ("CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_SETUID", "CAP_SETGID", "CAP_KILL"):
        capabilities += ["--cap-add", name]
    return capabilities


def _as_user() -> list[str]:
    # Each run gets a user namespace inside this one; that it makes no more of them is the filter's business.
    return ["--unshare-user", "--uid", "65534", "--gid", "65534"]


def _mounts(interpreter: Interpreter) -> list[str]:
    mounts = []
    # Made by hand: bubblewrap gives folders above a bound path mode 0700, which only root could enter.
    for folder in ("/usr", "/usr/bin", "/usr/share", "/etc", _PYTHON, f"{_PYTHON}/bin", _RUNNER, _PACKAGES):
        mounts += ["--perms", "0755", "--dir", folder]
    for path in host_paths(*_LIBRARIES):
        mounts += ["--ro-bind", str(path), str(path)]
    for path in host_paths(*_ALIASES):
        target = os.readlink(path) if path.is_symlink() else ""
        mounts += ["--symlink", target, str(path)] if target else ["--ro-bind", str(path), str(path)]
    inside = _python_inside(interpreter)
    for path, place in zip(interpreter.trees, inside.trees, strict=True):
        if not place.is_relative_to("/usr/lib"):
            mounts += ["--ro-bind", str(path), str(place)]
    mounts += ["--ro-bind", str(RUNNER_FOLDER), f"{_RUNNER}/{RUNNER_FOLDER.name}"]
    for name, path in pytest_packages().items():
        mounts += ["--ro-bind", str(path), f"{_PACKAGES}/{name}"]
    # What a run may write is mounted over these when it begins.
    mounts += ["--proc", "/proc", "--dev", "/dev", "--perms", "0755", "--dir", _PROJECT]
    mounts += ["--perms", "0755", "--dir", _SCRATCH, "--remount-ro", "/dev", "--remount-ro", "/"]
    return mounts
