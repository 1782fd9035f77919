"""What a run says, made fit for a prompt and a page: no control characters, short paths, bounded length."""

from __future__ import annotations

import re
from dataclasses import replace

from executions.findings import Finding, Severity

MAX_MESSAGE = 2000
MAX_ALL = 6000

_ROOM = re.compile(r"(?:/[\w.@+-]+)*/mge-sandbox-[0-9a-f]{16}/(?:project|scratch)/|(?<![\w./])/project/")
# C0 but tab and newline, DEL, C1, bidirectional controls, surrogates.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def clean(text: str, limit: int = MAX_MESSAGE) -> str:
    """`text` with controls escaped and the sandbox's folders cut off, up to `limit` characters."""
    text = _ROOM.sub("", _CONTROL.sub(_escaped, text)).strip()
    return text if len(text) <= limit else text[: limit - 2] + " …"


def bounded(findings: list[Finding]) -> list[Finding]:
    """The findings with their messages cleaned; beyond 6,000 characters only rule and number remain."""
    kept: list[Finding] = []
    dropped: list[Severity] = []
    left = MAX_ALL
    for finding in findings:
        message = clean(finding.message)
        if kept and len(message) > left:
            dropped.append(finding.severity)
            continue
        left -= len(message)
        kept.append(replace(finding, message=message))
    if dropped:
        # As heavy as the heaviest of them: notes that are left out make no rejection.
        heaviest = min(dropped, key=list(Severity).index)
        kept.append(Finding(heaviest, "more-findings", f"{len(dropped)} more findings are not shown"))
    return kept


def _escaped(match: re.Match[str]) -> str:
    number = ord(match.group())
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"
