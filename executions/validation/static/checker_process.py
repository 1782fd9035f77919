"""One run of a checking program over the files of a private folder: empty environment, limits, a clock, capped output."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

FOLDER_PREFIX = "mge-static-"
MOST_OUTPUT = 4 * 1024 * 1024
WALL_SECONDS = 10.0
CPU_SECONDS = 4
ADDRESS_SPACE = 1 << 30
"""Bytes of address space; 64 answers need less than an eighth of it."""
_STALE_SECONDS = 3600.0
_PROJECT, _OUTPUT = "project", "output"

if sys.platform == "linux":
    import resource


class CheckerBroke(Exception):
    """The program crashed, took too long or said what nobody understands: no word about the code it was given."""


def program(name: str) -> str:
    """The program that was installed beside this interpreter, whatever the search path holds."""
    return str(Path(sysconfig.get_path("scripts")) / name)


def version_of(name: str) -> str:
    """What the program says of itself, e.g. `ruff 0.17.6`. Raises CheckerBroke when it cannot be started."""
    try:
        said = subprocess.run(
            [program(name), "--version"],
            capture_output=True,
            text=True,
            env={},
            timeout=WALL_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise CheckerBroke(f"{name} could not be started: {error}") from error
    return said.stdout.strip()


async def run_over(
    files: Mapping[str, str],
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    ends_well: frozenset[int],
) -> bytes:
    """Write the files (relative path to text) to a folder of their own, run the command in it, give its standard output.

    Raises CheckerBroke unless it ends in time with a status of `ends_well`.
    """
    loop = asyncio.get_running_loop()
    try:
        room = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX))
    except OSError as error:
        raise CheckerBroke(f"there is no room for its files: {error.strerror}") from error
    furnished = loop.run_in_executor(None, _furnish, room, files)
    try:
        # A thread goes on when whoever waits for it is cancelled: then it must be done before all is removed.
        await asyncio.shield(furnished)
        await _run(room, command, environment, ends_well)
        return await asyncio.to_thread(_output_of, room)
    finally:
        await asyncio.wait([furnished])
        await asyncio.shield(loop.run_in_executor(None, partial(shutil.rmtree, room, ignore_errors=True)))


def _furnish(room: Path, files: Mapping[str, str]) -> None:
    made: set[Path] = set()
    try:
        for name, text in files.items():
            path = room / _PROJECT / name
            if path.parent not in made:
                path.parent.mkdir(parents=True, exist_ok=True)
                made.add(path.parent)
            path.write_bytes(text.encode())
        (room / _OUTPUT).touch()
    except (OSError, ValueError) as error:
        raise CheckerBroke(f"its files could not be written: {error}") from error


async def _run(
    room: Path, command: Sequence[str], environment: Mapping[str, str], ends_well: frozenset[int]
) -> None:
    name = Path(command[0]).name
    # To a file, not to a pipe: asyncio waits for ever for a process whose pipe is not read to its end.
    with (room / _OUTPUT).open("wb") as output:
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=room / _PROJECT,
                env={"HOME": str(room), **environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise CheckerBroke(f"{name} could not be started: {error.strerror}") from error
    try:
        _limit(process.pid)
        async with asyncio.timeout(WALL_SECONDS):
            status = await process.wait()
    except TimeoutError:
        raise CheckerBroke(f"{name} took longer than {WALL_SECONDS:g} s") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await asyncio.shield(process.wait())
    if status not in ends_well:
        how = f"signal {-status}" if status < 0 else f"status {status}"
        raise CheckerBroke(f"{name} ended with {how}")


def _output_of(room: Path) -> bytes:
    with (room / _OUTPUT).open("rb") as output:
        said = output.read(MOST_OUTPUT + 1)
    if len(said) > MOST_OUTPUT:
        raise CheckerBroke(f"says more than {MOST_OUTPUT >> 20} MB")
    return said


def _limit(pid: int) -> None:
    """From outside, after the start: setting limits in the child would mean to fork a process with threads."""
    if sys.platform != "linux":
        return
    limits = {
        resource.RLIMIT_CPU: (CPU_SECONDS, CPU_SECONDS + 1),
        resource.RLIMIT_AS: (ADDRESS_SPACE, ADDRESS_SPACE),
        resource.RLIMIT_FSIZE: (MOST_OUTPUT + 1, MOST_OUTPUT + 1),
        resource.RLIMIT_CORE: (0, 0),
    }
    # Gone already: then there is nothing left to limit.
    with contextlib.suppress(ProcessLookupError):
        for kind, values in limits.items():
            resource.prlimit(pid, kind, values)


def sweep() -> None:
    """Remove folders that a killed process left behind; those younger than an hour may still be in use."""
    now = time.time()
    for path in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*"):
        with contextlib.suppress(OSError):
            status = path.lstat()
            if status.st_uid == os.getuid() and now - status.st_mtime > _STALE_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
