"""A child process in a process group of its own, which ends with us whatever happens to us."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import IO

from executions.supervisor.leash import ROOT

LEASH = ROOT / "executions" / "supervisor" / "leash.py"
ORPHAN_GRACE_S = 3.0
"""How long a child may take to end by itself once we have ended without stopping it."""
KILL_WAIT_S = 5.0


class Child:
    """A Python program that leads a process group, with all that it starts.

    Args:
        program: a Python file or a module, and its arguments.
        log: where its output goes; None: where ours goes.
        environment: variables besides our own.
        lend: descriptors that the program gets under the same numbers.
    """

    def __init__(
        self,
        program: Sequence[str],
        *,
        log: IO[bytes] | None,
        environment: Mapping[str, str] | None = None,
        lend: Sequence[int] = (),
    ) -> None:
        theirs, self._leash = os.pipe()
        descriptors = (theirs, *lend)
        try:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    str(LEASH),
                    ",".join(map(str, descriptors)),
                    str(ORPHAN_GRACE_S),
                    *program,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
                pass_fds=descriptors,
            )
        except OSError:
            os.close(self._leash)
            raise
        finally:
            os.close(theirs)
        self._swept = False

    @property
    def pid(self) -> int:
        return self._process.pid

    def ended(self) -> int | None:
        """Its exit status once it has ended, else None. What it left behind in its group is killed by then."""
        status = self._process.poll()
        if status is not None:
            self._sweep()
        return status

    def how_it_ended(self) -> str:
        status = self._process.returncode
        if status is not None and status < 0:
            return f"killed by {signal.Signals(-status).name}"
        return f"exit status {status}"

    def ask_to_end(self) -> None:
        if self.ended() is None:
            self._process.terminate()

    def wait(self, longest_s: float) -> bool:
        """Whether it has ended, at the latest after this time."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(longest_s)
        return self.ended() is not None

    def kill(self) -> None:
        """SIGKILL to the whole group."""
        self._sweep()
        self.wait(KILL_WAIT_S)

    def _sweep(self) -> None:
        # Once, at once: later the number of the group may be somebody else's.
        if self._swept:
            return
        self._swept = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        os.close(self._leash)
