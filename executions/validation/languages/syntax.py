"""Answers in JavaScript and TypeScript: syntax and the names they must bind. Nothing of them is run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from executions.findings import Finding, Severity
from executions.languages import JAVASCRIPT, Language
from executions.validation.identifiers import misleading_name
from executions.validation.languages import tree
from executions.validation.languages.tree import Seen
from executions.validation.parsing import SMALL

_SECONDS = 5


def check_other_language(
    language: Language, text: str, target_path: str, entry_points: tuple[str, ...]
) -> list[Finding]:
    """Findings on an answer in a language whose tests are not run: `syntax-error`, `cannot-be-parsed`,
    `entry-point-missing`, and those of misleading names.
    """
    kind = _kind(language, target_path)
    # The parser is C: a child looks at a text that has room to hurt it.
    seen = tree.look_at(kind, text) if len(text) <= SMALL else _seen_by_child(kind, text)
    if seen is None:
        return [Finding(Severity.CRITICAL, "cannot-be-parsed", "cannot be parsed within the limits")]
    if seen.error:
        return [
            Finding(Severity.CRITICAL, "syntax-error", f"{language.title}: {seen.error}", seen.line or None)
        ]
    misleading = misleading_name(seen.foreign)
    if misleading is not None:
        return [misleading]
    return [
        Finding(Severity.ERROR, "entry-point-missing", f"does not define or export {name} at its top level")
        for name in entry_points
        if name not in seen.bound
    ]


def _kind(language: Language, target_path: str) -> str:
    if language is JAVASCRIPT:
        return "javascript"
    return "tsx" if target_path.endswith(".tsx") else "typescript"


def _seen_by_child(kind: str, text: str) -> Seen | None:
    try:
        child = subprocess.run(
            [sys.executable, "-I", str(Path(tree.__file__)), kind],
            input=text.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    if child.returncode != 0:
        return None
    said = json.loads(child.stdout)
    foreign = tuple((str(name), int(line)) for name, line in said["foreign"])
    return Seen(said["error"], said["line"], tuple(said["bound"]), foreign)
