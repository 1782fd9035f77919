"""One run: from a job to what the supervisor is given, and from its word to a result."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from executions.validation.sandbox.isolation import Launch, SandboxJob, SandboxResult, SandboxUnavailable
from executions.validation.sandbox.reports import Report, read_report
from executions.validation.sandbox.runner import Planted, configuration, plant
from executions.validation.sandbox.service import Ended, Service, SupervisorLost


class Cancelled(Exception):
    """The caller lost interest; nothing of the run is left."""


@dataclass(slots=True)
class Run:
    """A single use of the sandbox."""

    launch: Launch
    job: SandboxJob
    nonce: str = field(default_factory=lambda: secrets.token_hex(16), init=False, repr=False)
    run_id: str = field(default_factory=lambda: secrets.token_hex(8), init=False)
    """Names the folder of the run, where it has one on the host."""
    planted: Planted = field(init=False)

    def __post_init__(self) -> None:
        self.planted = plant(uses_unittest=self.job.uses_unittest)

    def submit(self, service: Service) -> tuple[Future[Ended], Callable[[], None]]:
        """See Service.submit. Raises SandboxUnavailable."""
        job = self.job
        return service.submit(
            job.suite,
            job.limits.outer_seconds,
            2 * job.limits.report + job.limits.output_kept,
            self.launch.room.format(run=self.run_id),
            configuration(self.launch, job, self.planted, nonce=self.nonce, run_id=self.run_id),
        )

    def execute(self, service: Service) -> SandboxResult:
        """Blocks until it is over. Raises SandboxUnavailable."""
        future, _ = self.submit(service)
        try:
            return self.result(future.result())
        except SupervisorLost as error:
            raise lost() from error

    def result(self, ended: Ended) -> SandboxResult:
        """What `ended` means. Raises Cancelled, and SandboxUnavailable when the sandbox itself broke."""
        if ended.how == "cancelled":
            raise Cancelled
        if ended.how == "broken":
            raise SandboxUnavailable(ended.told.decode(errors="replace")[:500])
        told = _parse(ended.told) if ended.how == "told" else None
        if told is None:
            reason = "outer" if ended.how == "outer" else "lost"
            return SandboxResult(
                Report(), self.planted.ids, None, None, reason, "", ended.cpu_ms, ended.duration_ms
            )
        return SandboxResult(
            report=read_report(told.report, self.nonce),
            planted=self.planted.ids,
            exit_code=os.WEXITSTATUS(told.status) if os.WIFEXITED(told.status) else None,
            signal=os.WTERMSIG(told.status) if os.WIFSIGNALED(told.status) else None,
            killed_for=told.killed_for,
            output=told.output.decode(errors="replace"),
            cpu_ms=ended.cpu_ms,
            duration_ms=ended.duration_ms,
        )


def lost() -> SandboxUnavailable:
    """For the caller of a run that no supervisor survived."""
    return SandboxUnavailable("the sandbox's supervisor died under the run")


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
