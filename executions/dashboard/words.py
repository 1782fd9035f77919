"""Template filters: numbers, times and states as people read them. Load with `{% load words %}`."""

from __future__ import annotations

import re
import uuid
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Protocol

from django import template

from executions.dashboard.links import short_id
from executions.dashboard.visible_text import visible
from executions.models import Execution

register = template.Library()
NANO = 1_000_000_000
WRAPPED_FROM = 60
"""A line this long, or longer, was probably ended by an editor, not by the writer."""
_GOES_ON = re.compile(r"(?![-*#>|]\s|\d+[.)]\s)\S")
NOTHING = "\N{EN DASH}"
"""Stands where there is no value."""

STATUS_WORDS = {"dead_lettered": "dead-lettered", "transport_error": "transport error"}
"""Where the word for people differs from the stored one."""


@register.filter
def word(status: str) -> str:
    """A state as people read it."""
    return STATUS_WORDS.get(status, status)


@register.filter
def usd(nano: int | None) -> str:
    """Nano USD as dollars: cents when it is much, up to four places when it is little."""
    if nano is None:
        return NOTHING
    if nano == 0:
        return "$0.00"
    amount = Decimal(nano) / NANO
    if amount >= 10:
        return f"${amount:,.2f}"
    if amount >= Decimal("0.0001"):
        return f"${amount:.4f}"
    return "< $0.0001"


@register.filter
def thousands(number: int | None) -> str:
    return NOTHING if number is None else f"{number:,}"


@register.filter
def percent(number: float) -> str:
    """At most one decimal place, and never rounded up to 100."""
    if 99.9 < number < 100:
        return "99.9"
    return f"{number:.1f}".removesuffix(".0")


@register.filter
def duration(span: timedelta | float | None) -> str:
    """`0.4 s`, `12 s`, `3 min 05 s`, `2 h 07 min`, `3 d 4 h`. A bare number is in seconds."""
    if span is None:
        return NOTHING
    seconds = span.total_seconds() if isinstance(span, timedelta) else float(span)
    if seconds < 10:
        return f"{max(seconds, 0):.1f} s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


@register.filter
def milliseconds(amount: float | None) -> str:
    """`153 ms`, `2.4 s`."""
    if amount is None:
        return NOTHING
    return f"{amount:.0f} ms" if amount < 1000 else f"{amount / 1000:.1f} s"


@register.filter
def since(end: datetime | None, start: datetime | None) -> str:
    """`{{ row.ended_at|since:row.started_at }}`: the time between, a dash while one is missing."""
    return NOTHING if end is None or start is None else duration(end - start)


class Counted(Protocol):
    """An execution or a wave."""

    atoms_total: int
    atoms_succeeded: int

    @property
    def atoms_unsuccessful(self) -> int: ...


@register.filter
def outcome(counted: Counted) -> str:
    """How it went: `all` (whatever has ended has succeeded), `some`, `none` (all has ended, nothing has succeeded)."""
    if not counted.atoms_unsuccessful:
        return "all"
    nothing = counted.atoms_succeeded == 0 and counted.atoms_unsuccessful == counted.atoms_total
    return "none" if nothing else "some"


@register.filter
def ran(execution: Execution) -> str:
    """How long it was not at rest; a dash before it has begun."""
    return duration(execution.ran_seconds) if execution.ran_ms or execution.running_since else NOTHING


@register.filter
def ran_before(execution: Execution) -> str:
    """Seconds that it was not at rest, before the time since when it runs: for the script that counts on."""
    return str(execution.ran_ms / 1000)


@register.filter
def iso(moment: datetime) -> str:
    """For the `datetime` attribute; the browser shows it in the reader's own time zone."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@register.filter
def utc(moment: datetime) -> str:
    """What is read where no script runs."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


@register.filter
def short(identifier: uuid.UUID) -> str:
    return short_id(identifier)


@register.filter
def flowing(text: str) -> str:
    """Prose that was wrapped by hand, without those line ends; lists, short lines and paragraphs stay as they are."""
    lines = text.strip().split("\n")
    joined = lines[:1]
    for before, line in pairwise(lines):
        if len(before) >= WRAPPED_FROM and _GOES_ON.match(line):
            joined[-1] += " " + line
        else:
            joined.append(line)
    return "\n".join(joined)


@register.filter
def shown(text: str, limit: int = 200_000) -> str:
    """Text from outside: what would hide or reorder is named, what is too long is cut. Escaped by the template as any text."""
    cut = (
        text
        if len(text) <= limit
        else text[:limit] + f"\n… {len(text) - limit:,} more characters are not shown"
    )
    return visible(cut)
