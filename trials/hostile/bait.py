"""What the host lays out for the programs to reach: listeners, files, secrets, a process. All of it is made up."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

CANARY_VARIABLE = "MGE_TRIAL_CANARY"
"""Whoever starts a trial sets it, so that it stands in the trial's own /proc/…/environ."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What every program is told, so that no attack fails for want of knowledge."""

    tcp: int
    udp: int
    unix_path: str
    unix_abstract: str
    closed_port: int
    """For programs that want to listen: bound by us, so that nobody else comes by it, but open to be shared."""
    folder: str
    """Ours, open to all, with `mark`, `private`, `fifo` and the settings in it."""
    settings: str
    home: str
    project: str
    site_packages: str
    caller: int
    bystander: int
    """A process of ours whose environment holds a secret."""
    token: str
    """Every file that a program makes has it in its name, so that it is found wherever it lands."""


@dataclass(slots=True)
class Bait:
    """The facts, what must never be seen in a verdict, and who called at a listener."""

    facts: Facts
    secrets: tuple[str, ...]
    _listeners: dict[str, socket.socket]

    def callers(self) -> list[str]:
        """Names of the listeners at which somebody has called since the last question."""
        found = []
        for name, listener in self._listeners.items():
            with contextlib.suppress(BlockingIOError):
                if listener.type == socket.SOCK_DGRAM:
                    listener.recv(64)
                else:
                    listener.accept()[0].close()
                found.append(name)
        return found

    def filled_in(self, source: str | bytes) -> str | bytes:
        """`source` with the facts in it."""
        if isinstance(source, bytes):
            return source
        return source.replace("@FACTS@", repr(asdict(self.facts)))


@contextlib.contextmanager
def laid_out(project: Path) -> Iterator[Bait]:
    """The bait, in a folder of its own below the system's temporary one."""
    folder = Path(tempfile.mkdtemp(prefix="mge-bait-"))
    folder.chmod(0o777)
    words = {
        name: f"canary-{name}-{secrets.token_hex(8)}" for name in ("file", "private", "settings", "process")
    }
    words["environment"] = os.environ.get(CANARY_VARIABLE, "")
    _write(folder / "mark", words["file"], 0o666)
    _write(folder / "private", words["private"], 0o600)
    _write(folder / "settings.env", f"SECRET_KEY={words['settings']}\n", 0o644)
    os.mkfifo(folder / "fifo", 0o666)
    (folder / "fifo").chmod(0o666)
    abstract = f"mge-bait-{secrets.token_hex(8)}"
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", 0))
        by_path, by_name = (stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(2))
        by_path.bind(str(folder / "socket"))
        (folder / "socket").chmod(0o777)
        by_name.bind(f"\0{abstract}")
        for listener in (by_path, by_name):
            listener.listen()
        listeners = {"TCP": tcp, "UDP": udp, "unix socket by path": by_path, "abstract unix socket": by_name}
        for listener in listeners.values():
            listener.setblocking(False)
        kept = stack.enter_context(socket.socket())
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("127.0.0.1", 0))
        bystander = stack.enter_context(_bystander(words["process"]))
        facts = Facts(
            tcp=tcp.getsockname()[1],
            udp=udp.getsockname()[1],
            unix_path=str(folder / "socket"),
            unix_abstract=abstract,
            closed_port=kept.getsockname()[1],
            folder=str(folder),
            settings=str(folder / "settings.env"),
            home=os.path.expanduser("~"),
            project=str(project),
            site_packages=_site_packages(),
            caller=os.getpid(),
            bystander=bystander,
            token=f"mge-hostile-{secrets.token_hex(6)}",
        )
        yield Bait(facts, tuple(word for word in words.values() if word), listeners)


def _write(path: Path, text: str, mode: int) -> None:
    path.write_text(text)
    path.chmod(mode)


@contextlib.contextmanager
def _bystander(word: str) -> Iterator[int]:
    """A process that only waits, with `word` in its environment."""
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", "import sys; sys.stdin.read()"],
        env={"SECRET": word},
        stdin=subprocess.PIPE,
    ) as process:
        yield process.pid
        if process.poll() is not None:
            raise RuntimeError("the bystander was killed")


def _site_packages() -> str:
    import pytest

    return str(Path(pytest.__file__).resolve().parents[1])
