"""The answer cache: an atom that was asked before, in the same words and for the same checks, takes the accepted answer.

Looked up once, when an atom is claimed that nothing was tried for yet: never on a retry, nor after a rollback. Accepted
answers of the model are stored with the verdict (`RecordVerdict`). A person's code never is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from django.conf import settings

from executions.engine.cached_rows import AcceptedAnswer, CachePlace
from executions.engine.prompt_of_atom import prompt_for
from executions.engine.runner_resources import endpoint_name
from executions.generation.cache import Asked, JudgedAmong, answer_key, verdict_key
from executions.models import CachedAnswer
from executions.planning.assembly import AssemblyConflict
from executions.validation.pipeline import VALIDATORS_VERSION
from executions.validation.verdict import Isolation

if TYPE_CHECKING:
    from executions.engine.context import AtomContext

AT_ONCE = 500
"""Keys looked up in one statement."""


@dataclass(frozen=True, slots=True)
class KnownAnswer:
    """An accepted answer to what an atom is about to ask."""

    scope: str
    place: CachePlace
    accepted: AcceptedAnswer
    trusted: bool
    """Whether it was accepted among the very files that the atom has here: then its tests have run already."""


def with_cache(contexts: Sequence[AtomContext]) -> list[AtomContext]:
    """The contexts with the places of their answers in the cache, and with the answers that are known.

    One query for all of them. They belong to one execution.
    """
    if not contexts or not contexts[0].execution.uses_cache:
        return list(contexts)
    endpoint = endpoint_name(contexts[0].execution.configuration.endpoint)
    placed = [replace(context, cache=_place(context, endpoint)) for context in contexts]
    wanted = {context.cache.key for context in placed if context.cache is not None and context.untried}
    known = _known(contexts[0].execution.cache_scopes, sorted(wanted))
    return [
        replace(context, known=_best(context.cache, known[context.cache.key]))
        if context.untried and context.cache is not None and context.cache.key in known
        else context
        for context in placed
    ]


def _place(context: AtomContext, endpoint: str) -> CachePlace | None:
    spec, execution = context.spec, context.execution
    configuration = execution.configuration
    try:
        prompt = prompt_for(
            context, configuration.ladder[0], (), dependency_bodies=settings.MGE_DEPENDENCY_BODIES
        )
    except AssemblyConflict:
        # Nobody can be asked then; whoever works on this atom meets the same conflict, and it is that atom's alone.
        return None
    asked = Asked(
        prompt=prompt,
        model=configuration.model,
        ladder=configuration.ladder,
        max_attempts=configuration.max_attempts,
        endpoint=endpoint,
        seed=configuration.seed,
        requires=execution.requires,
        validators=configuration.validators,
        validators_version=VALIDATORS_VERSION,
        language=spec.language,
        signature=spec.signature,
        entry_points=spec.entry_points,
        tests=spec.tests,
        hidden_tests=spec.hidden_tests,
    )
    among = JudgedAmong(spec.target_path, context.files, context.same_file)
    return CachePlace(execution.cache_scopes, answer_key(asked), verdict_key(among))


def _known(scopes: Sequence[str], keys: Sequence[str]) -> dict[str, list[CachedAnswer]]:
    """By key, the answers in order of the scopes."""
    found: dict[str, list[CachedAnswer]] = {}
    for row in sorted(_rows(scopes, keys), key=lambda row: scopes.index(row.scope)):
        found.setdefault(row.key, []).append(row)
    return found


def _rows(scopes: Sequence[str], keys: Sequence[str]) -> Iterator[CachedAnswer]:
    for start in range(0, len(keys), AT_ONCE):
        yield from CachedAnswer.objects.filter(scope__in=scopes, key__in=keys[start : start + AT_ONCE])


def _best(place: CachePlace, rows: Sequence[CachedAnswer]) -> KnownAnswer:
    """The one that need not be judged again, if there is one."""
    row = next((row for row in rows if _is_trusted(place, row)), rows[0])
    return KnownAnswer(
        scope=row.scope,
        place=place,
        accepted=AcceptedAnswer(
            code=row.answer,
            assurance=row.assurance,
            isolation=row.isolation,
            tests_passed=tuple(row.tests_passed),
            tests_total=row.tests_total,
            origin=row.origin,
        ),
        trusted=_is_trusted(place, row),
    )


def _is_trusted(place: CachePlace, row: CachedAnswer) -> bool:
    # What ran without isolation could reach whatever judged it.
    return row.verdict_key == place.verdict_key and row.isolation != Isolation.UNISOLATED
