"""`--set KEY=VALUE…`: settings of an execution on a command line."""

from __future__ import annotations

from collections.abc import Sequence

from executions.management.command import Refused


def settings_of(pairs: Sequence[str]) -> dict[str, str]:
    """Raises Refused for what is no KEY=VALUE; what may be set, the services know."""
    given: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise Refused(f"--set {pair}: expected KEY=VALUE")
        given[key] = value
    return given
