"""Judging an answer: among the accepted code that the atom builds on, by the checks of its execution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from executions.findings import Finding, Severity
from executions.planning.assembly import AssemblyConflict, assemble
from executions.validation.candidate import Candidate
from executions.validation.pipeline import Validator
from executions.validation.verdict import Isolation, Verdict

if TYPE_CHECKING:
    from executions.engine.context import AtomContext


async def judged(validators: Callable[[str], Validator], context: AtomContext, code: str) -> Verdict:
    """The verdict on code for an atom, whoever wrote it. Raises SandboxUnavailable as validators do."""
    spec = context.spec
    candidate = Candidate(
        source=code,
        tests=spec.tests,
        entry_points=spec.entry_points,
        target_path=spec.target_path,
        signature=spec.signature,
        hidden_tests=spec.hidden_tests,
        files=context.files,
        language=spec.language,
        file_text=None,
    )
    if context.same_file:
        alone = await validators("syntax").validate(candidate)
        if not alone.passed:
            return alone
        try:
            file_text = assemble([*context.same_file, (spec.key, code)], target_path=spec.target_path)
        except AssemblyConflict as error:
            return unread(Finding(Severity.ERROR, "does-not-fit-the-file", str(error)))
        candidate = replace(candidate, file_text=file_text)
    return await validators(context.execution.configuration.validators).validate(candidate)


def unread(finding: Finding) -> Verdict:
    """The verdict on an answer that never came as far as the validators."""
    return Verdict(
        passed=False,
        executed=False,
        isolation=Isolation.NONE,
        findings=(finding,),
        tests_passed=(),
        tests_total=0,
        duration_ms=0.0,
        cpu_ms=0.0,
        assurance="",
    )
