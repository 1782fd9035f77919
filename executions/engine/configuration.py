"""The frozen configuration of an execution: from a person's settings when it starts, to JSON, and back in the runner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from executions.generation.ladder import Rung, as_json, ladder_from

ENDPOINTS = ("embedded", "configured")


@dataclass(frozen=True, slots=True)
class Configuration:
    """How an execution runs."""

    model: str
    endpoint: str
    """`embedded`: the scripted model of this data folder; `configured`: what the ANTHROPIC_* variables name."""
    schedule: str
    max_concurrency: int
    max_attempts: int
    ladder: tuple[Rung, ...]
    validators: str
    """`full`, `syntax`, or names with commas between."""
    on_dependency_failure: str
    budget_usd: str | None
    """Decimal number as text; None: no limit."""
    seed: int | None
    call_timeout_s: int | None = None
    """Seconds until a call counts as unanswered; None: as the site has it (MGE_CALL_TIMEOUT_SECONDS)."""
    attempt_timeout_s: int | None = None
    """Seconds of work on one attempt, from the intent of a call to the verdict; None: no limit. Waits do not count."""
    execution_timeout_s: int | None = None
    """Seconds from start or resume until the execution pauses; None: no limit."""
    cache: str = "off"
    """`on`: accepted answers are taken from earlier executions and kept for later ones."""
    gate_wave: str = "report"
    """What follows when a wave's gate has failed: `report` goes on, `stop` pauses."""
    gate_masterplan: str = "report"
    """The same for the masterplan's gate."""

    @property
    def runs_tests(self) -> bool:
        return self.validators == "full" or "tests" in self.validators.split(",")

    def as_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "endpoint": self.endpoint,
            "schedule": self.schedule,
            "max_concurrency": self.max_concurrency,
            "max_attempts": self.max_attempts,
            "ladder": as_json(self.ladder),
            "validators": self.validators,
            "on_dependency_failure": self.on_dependency_failure,
            "budget_usd": self.budget_usd,
            "seed": self.seed,
            "call_timeout_s": self.call_timeout_s,
            "attempt_timeout_s": self.attempt_timeout_s,
            "execution_timeout_s": self.execution_timeout_s,
            "cache": self.cache,
            "on_untested": "accept",
            "gate_wave": self.gate_wave,
            "gate_masterplan": self.gate_masterplan,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Configuration:
        return cls(
            model=value["model"],
            endpoint=value["endpoint"],
            schedule=value["schedule"],
            max_concurrency=value["max_concurrency"],
            max_attempts=value["max_attempts"],
            ladder=ladder_from(value["ladder"]),
            validators=value["validators"],
            on_dependency_failure=value["on_dependency_failure"],
            budget_usd=value["budget_usd"],
            seed=value["seed"],
            call_timeout_s=value.get("call_timeout_s"),
            attempt_timeout_s=value.get("attempt_timeout_s"),
            execution_timeout_s=value.get("execution_timeout_s"),
            cache=value.get("cache", "off"),
            gate_wave=value.get("gate_wave", "report"),
            gate_masterplan=value.get("gate_masterplan", "report"),
        )
