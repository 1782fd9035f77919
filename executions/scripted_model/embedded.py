"""The embedded scripted model: one server for all processes of a data directory.

Whoever needs it calls `ensure_running`; the first one starts it, under a file lock, detached. It serves for
as long as any of the processes that asked for it (their `watch_pid`) lives, and then ends by itself. All of
them get the server as the first one set it up.

In the data directory: `scripted-model.json` (port and pid), `.lock`, `.log`, and `scripted-answers.txt`.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from executions.scripted_model.answers import sibling_near_misses
from executions.scripted_model.serving import LIST_NAME

PORT_FILE_NAME = "scripted-model.json"
ANSWER_SECONDS = 2.0
"""How long a server that is there may take to say so."""
START_SECONDS = 60.0
POLL_SECONDS = 0.05

_started: set[int] = set()
"""Servers that this process started: waited for now and then, so that an ended one is no zombie."""


@dataclass(frozen=True, slots=True)
class EmbeddedSettings:
    """How to start the server where none answers."""

    data_dir: Path
    answers: tuple[Path, ...]
    """Plan files and folders of them, each with its sibling near misses where there are any."""
    near_miss_share: float
    seed: int
    latency: str


class EmbeddedModelError(RuntimeError):
    """The embedded server could not be started; the message says what it wrote last."""


def current_url(data_dir: Path) -> str | None:
    """The base URL of the server of this data directory, or None when none answers."""
    try:
        content = json.loads((data_dir / PORT_FILE_NAME).read_text(encoding="utf-8"))
        port, pid = int(content["port"]), int(content["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    url = f"http://127.0.0.1:{port}"
    about = _ask(f"{url}/")
    if about is None or about.get("scripted_model") is not True or about.get("pid") != pid:
        return None  # ended without a word, and someone else has the port now
    return url


def ensure_running(settings: EmbeddedSettings, *, watch_pid: int) -> str:
    """The base URL of the server of the data directory, started if need be; it stays while `watch_pid` lives.

    Any number of processes may call this at once: one server comes of it. Blocks until the server answers.
    Raises `EmbeddedModelError` when it does not, OSError when the data directory cannot be written.
    """
    for server in tuple(_started):
        _has_ended(server)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with _locked(settings.data_dir):
        url = current_url(settings.data_dir)
        if url is not None and _ask(f"{url}/watch", {"pid": watch_pid}) == {"watching": True}:
            return url
        (settings.data_dir / PORT_FILE_NAME).unlink(missing_ok=True)
        return _start(settings, watch_pid)


def register_answers(data_dir: Path, path: Path) -> None:
    """Makes a plan file, and its sibling `<stem>-near-miss.json` where there is one, known to the server.

    Holds for a server that runs now and for every later one of this data directory. Naming a file again makes
    the server look whether its content changed. Raises ValueError for a path with a line break, OSError when
    the data directory cannot be written.
    """
    line = str(path.resolve())
    if "\n" in line or "\r" in line:
        raise ValueError(f"a path with a line break cannot be listed: {line!r}")
    data_dir.mkdir(parents=True, exist_ok=True)
    list_file = data_dir / LIST_NAME
    with _locked(data_dir):
        known = list_file.read_text(encoding="utf-8").split("\n") if list_file.exists() else []
        if line in known:
            os.utime(list_file)
            return
        with list_file.open("a", encoding="utf-8") as lines:
            lines.write(f"{line}\n")


def _start(settings: EmbeddedSettings, watch_pid: int) -> str:
    manage = Path(__file__).resolve().parents[2] / "manage.py"
    near_misses = [path for path in map(sibling_near_misses, settings.answers) if path.is_file()]
    command = [sys.executable, str(manage), "scripted_model", "--port", "0"]
    command += ["--port-file", str(settings.data_dir / PORT_FILE_NAME), "--data-dir", str(settings.data_dir)]
    command += ["--watch-pid", str(watch_pid), "--latency", settings.latency]
    command += ["--near-miss-share", str(settings.near_miss_share), "--seed", str(settings.seed)]
    for path in settings.answers:
        command += ["--answers", str(path)]
    for path in near_misses:
        command += ["--near-misses", str(path)]
    log = settings.data_dir / "scripted-model.log"
    server = _spawn(command, log)
    _started.add(server)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and not _has_ended(server):
        url = current_url(settings.data_dir)
        if url is not None:
            return url
        time.sleep(POLL_SECONDS)
    if not _has_ended(server):
        os.kill(server, signal.SIGKILL)
    last_words = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-5:]
    raise EmbeddedModelError(
        "the scripted model did not start: " + (" | ".join(last_words) or "no word of it")
    )


def _spawn(command: list[str], log: Path) -> int:
    """The process id of `command`, in a session of its own so that no signal to ours reaches it.

    Not by `subprocess`: its objects complain when they are dropped before the process has ended.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    errors = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        return os.posix_spawn(
            command[0],
            command,
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, nothing, 0),
                (os.POSIX_SPAWN_DUP2, nothing, 1),
                (os.POSIX_SPAWN_DUP2, errors, 2),
            ],
            setsid=True,
        )
    finally:
        os.close(nothing)
        os.close(errors)


def _has_ended(pid: int) -> bool:
    """Whether a process that we started has ended; it leaves no zombie then."""
    if pid not in _started:
        return True
    try:
        ended = os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:  # ours no longer: reaped elsewhere, or started before a fork
        ended = True
    if ended:
        _started.discard(pid)
    return ended


@contextmanager
def _locked(data_dir: Path) -> Iterator[None]:
    """Alone among all processes of the data directory; the lock ends with the process that holds it."""
    with (data_dir / "scripted-model.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _ask(url: str, content: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """What the server at a loopback URL answers, or None when nothing sensible comes in time."""
    body = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(  # noqa: S310 - always http, to loopback
        url, data=body, headers={"content-type": "application/json"}
    )
    # Loopback is never behind a proxy, whatever the environment says.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=ANSWER_SECONDS) as response:
            answer = json.load(response)
    except (OSError, HTTPException, ValueError):
        return None
    return answer if isinstance(answer, dict) else None
