"""How much one run may use. The promise in words stands in the guarantees page."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in seconds."""

    address_space: int = 512 * MIB
    """Per process. CPython with threads fits, since malloc is held to one arena."""
    memory_of_all: int = 1024 * MIB
    """Memory of all processes of a run together, shared memory as often as it is mapped; looked at about ten times a
    second."""
    cpu_seconds: int = 5
    wall_seconds: float = 10.0
    """Enforced by the monitor inside."""
    outer_seconds: float = 12.0
    """Enforced by the caller outside, in case the monitor itself was stopped."""
    file_size: int = 16 * MIB
    scratch_size: int = 32 * MIB
    open_files: int = 64
    processes: int = 64
    output_kept: int = 64 * 1024
    output_total: int = 16 * MIB
    """A program that writes more is killed."""
    report: int = 512 * 1024
    """Bytes the test process may report; more voids the run."""


DEFAULT_LIMITS = Limits()
