"""What the languages of a plan's atoms mean for an execution of it, told before anything is started."""

from __future__ import annotations

from django.db.models import Count

from executions.languages import KNOWN, language_named, not_tested
from executions.models import Atom, Masterplan
from executions.services.errors import StartRefused


def said_before_start(masterplan: Masterplan) -> list[str]:
    """A sentence for each language of the plan whose tests are not run."""
    return not_tested(_languages(masterplan))


def refuse_unknown_languages(masterplan: Masterplan) -> None:
    """Raises StartRefused where an atom is in a language that nothing here can judge: each answer would be paid in vain."""
    unknown = [word for word in _languages(masterplan) if language_named(word) is None]
    if unknown:
        raise StartRefused(
            f"{masterplan.name} has atoms in {', '.join(sorted(unknown))}, which nothing here can judge; known are {KNOWN}"
        )


def _languages(masterplan: Masterplan) -> dict[str, int]:
    """Atoms by language."""
    rows = Atom.objects.filter(masterplan=masterplan).order_by().values_list("language").annotate(Count("pk"))
    return dict(rows)
