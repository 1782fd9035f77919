"""As whom a trial runs: root, an ordinary user, either of them inside the jail.

Each runs from a copy of the validation and of the trials which that user owns, as somebody who checked the project out
himself would, with a temporary folder and a home of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from executions.validation.sandbox import interpreter as interpreters
from executions.validation.verdict import Isolation
from trials.hostile.bait import CANARY_VARIABLE

ROOT = Path(__file__).resolve().parents[2]
_COPIED = ("executions", "trials")
_USER = 61_357
"""Nobody's uid: neither Debian nor systemd hands it out."""


class Unavailable(RuntimeError):
    """This environment cannot be had here; says why."""


@dataclass(frozen=True, slots=True)
class Environment:
    """Who runs the trial, and where."""

    name: str
    uid: int
    jailed: bool

    @property
    def levels(self) -> tuple[Isolation | None, ...]:
        """Those to be tried; None: whatever is granted, which in the jail must be `restricted`."""
        return (None,) if self.jailed else (Isolation.ISOLATED, Isolation.RESTRICTED)


def environment(name: str) -> Environment:
    """By name: root, user, jail (an ordinary user), jail-root. Raises Unavailable, ValueError."""
    own = os.geteuid()
    uids = {"root": 0, "jail-root": 0, "user": own or _USER, "jail": own or _USER}
    if name not in uids:
        raise ValueError(f"unknown environment {name!r}; known: {', '.join(uids)}")
    if uids[name] == 0 and own != 0:
        raise Unavailable(f"{name}: this is not root")
    return Environment(name, uids[name], jailed=name.startswith("jail"))


@contextmanager
def settled(chosen: Environment) -> Iterator[Settled]:
    """A folder with everything the environment needs; gone afterwards. Raises Unavailable."""
    folder = Path(tempfile.mkdtemp(prefix="mge-trial-"))
    folder.chmod(0o755)
    try:
        interpreter = _interpreter(chosen, folder)
        for name in _COPIED:
            shutil.copytree(
                ROOT / name, folder / "project" / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        packages = _packages(chosen, folder)
        for name in ("tmp", "home"):
            (folder / name).mkdir(mode=0o755)
        if chosen.uid != os.geteuid():
            _give(folder, chosen.uid)
        yield Settled(chosen, folder, interpreter, packages)
    finally:
        # Not shutil: a program may have left more folders in each other than it can climb down.
        subprocess.run(["/bin/rm", "-rf", str(folder)], check=False)


@dataclass(frozen=True, slots=True)
class Settled:
    """An environment that is ready to be used."""

    chosen: Environment
    folder: Path
    interpreter: Path
    packages: Path
    """What is installed beside this Python: ours, or a copy where the chosen user could not read ours."""

    def command(self, *arguments: str) -> list[str]:
        """The line that runs a module of the copy as the chosen user."""
        line = [str(self.interpreter), "-P", "-B", "-m"]
        if self.chosen.jailed:
            line += ["trials.hostile.jail", *line]
        line += arguments
        if self.chosen.uid == os.geteuid():
            return line
        number = str(self.chosen.uid)
        return ["setpriv", "--reuid", number, "--regid", number, "--clear-groups", *line]

    @property
    def variables(self) -> dict[str, str]:
        """The environment of that line, a secret in it."""
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            "PYTHONPATH": f"{self.folder / 'project'}:{self.packages}",
            CANARY_VARIABLE: f"canary-environment-{os.urandom(8).hex()}",
        }

    def run(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts it; its lines are to be read from stdout."""
        return subprocess.Popen(
            self.command(*arguments),
            env=self.variables,
            cwd=self.folder / "project",
            stdout=subprocess.PIPE,
            text=True,
        )


def _interpreter(chosen: Environment, folder: Path) -> Path:
    if chosen.uid == os.geteuid():
        return Path(sys.executable)
    if shutil.which("setpriv") is None:
        raise Unavailable(f"{chosen.name}: setpriv is not installed (Debian: package util-linux)")
    for found in interpreters.candidates(others_must_read=True, data_dir=folder / "python"):
        return _with_our_tools(found.executable, folder / "venv")
    raise Unavailable(f"{chosen.name}: no Python here that another user may read")


def _with_our_tools(interpreter: Path, venv: Path) -> Path:
    """An environment of that Python whose programs (linter, type checker) are ours."""
    made = subprocess.run(
        [interpreter, "-m", "venv", "--without-pip", venv], capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        raise Unavailable(f"{interpreter} makes no virtual environment: {made.stderr.strip()[-200:]}")
    for tool in Path(sysconfig.get_path("scripts")).iterdir():
        place = venv / "bin" / tool.name
        if place.exists() or tool.is_dir():
            continue
        if interpreters.readable_by_all(tool):
            place.symlink_to(tool.resolve())
        else:
            shutil.copy2(tool, place)
    return venv / "bin" / "python"


def _packages(chosen: Environment, folder: Path) -> Path:
    installed = Path(sysconfig.get_path("purelib"))
    if chosen.uid == os.geteuid() or interpreters.readable_by_all(installed):
        return installed
    return Path(shutil.copytree(installed, folder / "packages"))


def _give(folder: Path, uid: int) -> None:
    os.chown(folder, uid, uid)
    for where, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.chown(Path(where, name), uid, uid, follow_symlinks=False)
