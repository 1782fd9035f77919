"""The prompt for a claimed atom: what the engine has read of it, in the words of `generation.prompts`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from executions.generation.ladder import Rung
from executions.generation.prompts import PastAttempt, Prompt, PromptDependency, PromptInput, render
from executions.planning.assembly import assemble

if TYPE_CHECKING:
    from executions.engine.context import AtomContext


def prompt_for(
    context: AtomContext, rung: Rung, history: tuple[PastAttempt, ...], *, dependency_bodies: int
) -> Prompt:
    """What the model is told on this rung after `history`.

    Raises AssemblyConflict when the accepted code in the atom's own file cannot share it after all.
    """
    spec, execution = context.spec, context.execution
    return render(
        PromptInput(
            plan_name=execution.plan_name,
            plan_description=execution.plan_description,
            plan_instructions=execution.plan_instructions,
            requires=execution.requires,
            key=spec.key,
            name=spec.name,
            description=spec.description,
            language=spec.language,
            signature=spec.signature,
            contract=spec.contract,
            prompt=spec.prompt,
            tests=spec.tests,
            target_path=spec.target_path,
            instructions=spec.instructions,
            entry_points=spec.entry_points,
            dependencies=tuple(PromptDependency(*one) for one in context.dependencies),
            same_file=assemble(context.same_file) if context.same_file else "",
            rung=rung,
            max_attempts=execution.configuration.max_attempts,
            history=history,
        ),
        dependency_bodies=dependency_bodies,
    )
