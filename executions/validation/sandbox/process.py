"""One sandboxed run as seen from outside: start, hand over, listen, and see to it that it ends."""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import IO

from executions.validation.sandbox.isolation import Launch, SandboxJob, SandboxResult, SandboxUnavailable
from executions.validation.sandbox.reports import Report, read_report
from executions.validation.sandbox.runner import configuration, plant, uid_of_run

_READY = b"ready\n"
_START_SECONDS = 15.0
_FAREWELL_SECONDS = 3.0
"""The monitor empties the room within two; then it is killed."""


class Cancelled(Exception):
    """The caller lost interest; nothing of the run is left."""


class Run:
    """A single use of the sandbox. `execute` blocks (call it in a thread), `cancel` comes from any thread."""

    def __init__(self, launch: Launch, job: SandboxJob) -> None:
        self._launch = launch
        self._job = job
        self._nonce = secrets.token_hex(16)
        self._planted = plant(uses_unittest=job.uses_unittest)
        self.run_id = secrets.token_hex(8)
        """Stands on the monitor's command line, so that the process table shows what is left of it."""
        self._cancelled = threading.Event()
        self._wake_end, self._wake_start = os.pipe()

    def cancel(self) -> None:
        """Ends the run; `execute` then raises Cancelled, after everything is killed."""
        self._cancelled.set()
        with contextlib.suppress(OSError):  # already over
            os.write(self._wake_start, b"x")

    def execute(self) -> SandboxResult:
        """Raises SandboxUnavailable when the sandbox itself did not start, Cancelled after `cancel`."""
        try:
            return self._execute()
        finally:
            self._cancelled.set()
            os.close(self._wake_end)
            os.close(self._wake_start)

    def _execute(self) -> SandboxResult:
        if self._cancelled.is_set():
            raise Cancelled
        started = time.monotonic()
        process = subprocess.Popen(
            [*self._launch.command, self.run_id],
            env=dict(self._launch.environment),
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
        )
        talk = _Talk(process, self._wake_end)
        try:
            uid = uid_of_run(process.pid) if self._launch.own_uid else 0
            if self._launch.own_uid and not uid:
                raise SandboxUnavailable("this container maps too few user ids to give each run its own")
            talk.hand_over(
                configuration(
                    self._launch, self._job, self._planted, nonce=self._nonce, run_id=self.run_id, uid=uid
                )
            )
            killed_for = talk.listen(self._job.limits.outer_seconds, self._job.limits.report * 2)
        finally:
            used = talk.end()
        if self._cancelled.is_set():
            raise Cancelled
        duration = (time.monotonic() - started) * 1000
        return self._result(talk, killed_for, used, duration)

    def _result(self, talk: _Talk, killed_for: str, cpu_ms: float, duration_ms: float) -> SandboxResult:
        if not talk.received.startswith(_READY):
            said = talk.errors.decode(errors="replace").strip()[-500:]
            raise SandboxUnavailable(f"the sandbox did not start: {said or 'no word from it'}")
        told = _parse(bytes(talk.received[len(_READY) :]))
        if told is None:
            return SandboxResult(
                Report(), self._planted.ids, None, None, killed_for or "lost", "", cpu_ms, duration_ms
            )
        return SandboxResult(
            report=read_report(told.report, self._nonce),
            planted=self._planted.ids,
            exit_code=os.WEXITSTATUS(told.status) if os.WIFEXITED(told.status) else None,
            signal=os.WTERMSIG(told.status) if os.WIFSIGNALED(told.status) else None,
            killed_for=killed_for or told.killed_for,
            output=told.output.decode(errors="replace"),
            cpu_ms=cpu_ms,
            duration_ms=duration_ms,
        )


@dataclass(frozen=True, slots=True)
class _Told:
    status: int
    killed_for: str
    report: bytes
    output: bytes


def _parse(data: bytes) -> _Told | None:
    """The monitor's last message; None when it did not come whole."""
    head, newline, rest = data.partition(b"\n")
    fields = head.split()
    if not newline or len(fields) != 7:
        return None
    report_size, output_size = int(fields[5]), int(fields[6])
    if len(rest) != report_size + output_size:
        return None
    reason = fields[1].decode()
    return _Told(int(fields[0]), "" if reason == "-" else reason, rest[:report_size], rest[report_size:])


class _Talk:
    """The pipes to one monitor. Its stdin stays open as the lifeline until `end`."""

    def __init__(self, process: subprocess.Popen[bytes], wake: int) -> None:
        self._process = process
        self._wake = wake
        self._in, self._out, self._err = (
            stream.fileno()
            for stream in (process.stdin, process.stdout, process.stderr)
            if stream is not None
        )
        self.received = bytearray()
        self.errors = bytearray()
        for descriptor in (self._in, self._out, self._err):
            os.set_blocking(descriptor, False)

    def hand_over(self, data: bytes) -> None:
        view = memoryview(data)
        deadline = time.monotonic() + _START_SECONDS
        poll = select.poll()
        poll.register(self._in, select.POLLOUT)
        poll.register(self._wake, select.POLLIN)
        while view and time.monotonic() < deadline:
            ready = dict(poll.poll(1000))
            if self._wake in ready:
                return
            if self._in in ready:
                try:
                    view = view[os.write(self._in, view) :]
                except BrokenPipeError:
                    return  # it ended at once; stderr says why

    def listen(self, seconds: float, most: int) -> str:
        """Until the monitor has said everything. "outer": the clock ran out, "lost": it said too much."""
        poll = select.poll()
        for descriptor in (self._out, self._err, self._wake):
            poll.register(descriptor, select.POLLIN)
        deadline = time.monotonic() + _START_SECONDS
        counting = False
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return "outer"
            for descriptor, _ in poll.poll(left * 1000):
                if descriptor == self._wake:
                    return ""
                data = os.read(descriptor, 65536)
                if descriptor == self._err:
                    self.errors += data[: 4096 - len(self.errors)]
                    if not data:
                        poll.unregister(descriptor)
                    continue
                self.received += data
                if not data or _parse(bytes(self.received[len(_READY) :])) is not None:
                    return ""
                if len(self.received) > most:
                    return "lost"
            if not counting and self.received.startswith(_READY):
                # The clock of the run starts when the program does, not while the machine makes room for it.
                counting, deadline = True, time.monotonic() + seconds

    def end(self) -> float:
        """Cuts the lifeline, then waits, then kills. Milliseconds of processor time of all that has ended."""
        process = self._process
        _close(process.stdin)
        deadline = time.monotonic() + _FAREWELL_SECONDS
        poll = select.poll()
        poll.register(self._out, select.POLLIN)
        while (left := deadline - time.monotonic()) > 0:
            if poll.poll(left * 1000) and not os.read(self._out, 65536):
                break  # nobody holds the other end any more
        else:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        _close(process.stdout)
        _close(process.stderr)
        return (used.ru_utime + used.ru_stime) * 1000


def _close(stream: IO[bytes] | None) -> None:
    if stream is not None:
        stream.close()
