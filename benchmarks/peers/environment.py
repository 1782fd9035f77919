"""The peers' virtual environment: made once, and anew when the requirements have changed."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

from benchmarks.results import FOLDER

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
ENVIRONMENT = FOLDER / "peers-venv"
INSTALL = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes")
_PIN = re.compile(r"^([a-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


def python_of_peers(environment: Path = ENVIRONMENT, requirements: Path = REQUIREMENTS) -> Path:
    """Its interpreter, with everything installed that can be: what cannot is named on stderr, the rest goes on."""
    python = environment / "bin" / "python"
    stamp = environment / ".installed"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    sys.stderr.write(f"installing the peers in {environment} …\n")
    venv.create(environment, with_pip=True, clear=True)
    if _installs(python, requirements):
        stamp.write_text(wanted, encoding="utf-8")
    else:
        _install_one_by_one(python, requirements, environment / "one.txt")
    return python


def versions(requirements: Path = REQUIREMENTS) -> dict[str, str]:
    """The pinned version of every package."""
    return dict(_PIN.findall(requirements.read_text(encoding="utf-8")))


def _install_one_by_one(python: Path, requirements: Path, file: Path) -> None:
    """pip installs all or nothing; one package that is missing for this machine must not take the other peers along."""
    for block in _blocks(requirements.read_text(encoding="utf-8")):
        file.write_text(block, encoding="utf-8")
        if not _installs(python, file, "--no-deps"):
            sys.stderr.write(f"not installed: {block.split(' ', 1)[0]}\n")


def _installs(python: Path, requirements: Path, *options: str) -> bool:
    done = subprocess.run(
        [python, *INSTALL, *options, "-r", requirements], check=False, stdin=subprocess.DEVNULL
    )
    return done.returncode == 0


def _blocks(text: str) -> Iterator[str]:
    """Each package with its hashes."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    yield from re.split(r"\n(?=\S)", "\n".join(lines))
