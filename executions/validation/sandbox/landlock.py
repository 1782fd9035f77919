"""Level `restricted`, and running without isolation: the fork server is an ordinary process of ours.

The test process below it is held by Landlock (files, TCP, signals), seccomp (no socket(), no new namespaces)
and rlimits; as root it also gets a uid of its own. What is missing against `isolated`: it sees that files
exist, shares the host's process table by number, and orphans must be hunted down.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from executions.validation.sandbox.interpreter import (
    Interpreter,
    pytest_packages,
    readable_by_all,
    shared_copy,
)
from executions.validation.sandbox.isolation import Launch, host_paths
from executions.validation.sandbox.runner import PYTHON_ENVIRONMENT, RUNNER_FOLDER, start_line
from executions.validation.sandbox.seccomp import assemble

_LIBRARIES = (
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/lib",
    "/lib32",
    "/lib64",
    "/usr/share/zoneinfo",
    "/etc/ld.so.cache",
)
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


def restricted_launch(interpreter: Interpreter, data_dir: Path) -> Launch:
    """The launch for this machine; whether it holds is the self-test's business. Raises OSError."""
    is_root = os.geteuid() == 0
    room = _room_pattern()
    packages = _packages(data_dir, others_must_read=is_root)
    readable = [*host_paths(*_LIBRARIES), *interpreter.trees, RUNNER_FOLDER, packages]
    return Launch(
        command=tuple(start_line(interpreter, str(RUNNER_FOLDER.parent), kind="", packages=str(packages))),
        environment=PYTHON_ENVIRONMENT,
        program_environment=PYTHON_ENVIRONMENT,
        interpreter=interpreter,
        project=f"{room}/project",
        scratch=f"{room}/scratch",
        room=room,
        runner=str(RUNNER_FOLDER.parent),
        packages=str(packages),
        own_uid=is_root,
        own_processes=is_root,
        landlock=True,
        scoped=True,
        seccomp=assemble(no_sockets=True, pretend_metadata=not is_root),
        readable=(*map(str, readable), f"{room}/project"),
        writable=(*_DEVICES, f"{room}/scratch"),
    )


def unisolated_launch(interpreter: Interpreter, data_dir: Path) -> Launch:
    """Limits and clocks only; what somebody accepted in words."""
    room = _room_pattern()
    packages = _packages(data_dir, others_must_read=False)
    return Launch(
        command=tuple(start_line(interpreter, str(RUNNER_FOLDER.parent), kind="", packages=str(packages))),
        environment=PYTHON_ENVIRONMENT,
        program_environment=PYTHON_ENVIRONMENT,
        interpreter=interpreter,
        project=f"{room}/project",
        scratch=f"{room}/scratch",
        room=room,
        runner=str(RUNNER_FOLDER.parent),
        packages=str(packages),
        own_uid=False,
        own_processes=False,
        landlock=False,
        scoped=False,
        seccomp=b"",
    )


def _room_pattern() -> str:
    return f"{os.path.realpath(tempfile.gettempdir())}/mge-sandbox-{{run}}"


def _packages(data_dir: Path, *, others_must_read: bool) -> Path:
    """One folder with pytest and what it needs, and nothing else of our environment."""
    folder = shared_copy(pytest_packages(), data_dir / "sandbox" / "packages")
    if others_must_read and not readable_by_all(folder):
        folder = shared_copy(
            pytest_packages(), Path(tempfile.gettempdir()) / f"mge-sandbox-packages-{os.geteuid()}"
        )
    return folder
