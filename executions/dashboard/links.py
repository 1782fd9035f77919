"""Addresses of rows: stable, and readable where the row has a name of its own."""

from __future__ import annotations

import re
import uuid
from urllib.parse import quote

from django.db.models import CharField, Q, QuerySet
from django.db.models.functions import Cast

from executions.models import AtomRun, Execution

_PLAIN_KEY = re.compile(r"(?!\.{1,2}$)[\w.\-~:@+ ]+", re.ASCII)
"""Keys that may stand in a path as they are; a browser would change `..` and swallow `/`."""

SHORT = 8
_HEX = re.compile(r"[0-9a-f]{4,32}", re.ASCII)


def short_id(identifier: uuid.UUID) -> str:
    """Its last characters: of an id that begins with the time, the end tells two rows of one minute apart."""
    return identifier.hex[-SHORT:]


def key_part(key: str) -> str:
    """What stands for an atom in an address, if its key would survive there; else empty."""
    return quote(key) if _PLAIN_KEY.fullmatch(key) else ""


def atom_part(key: str, run_id: uuid.UUID) -> str:
    """What stands for an atom in an address: its key, or the run's id where the key would not survive."""
    return key_part(key) or str(run_id)


def find_atom_run(execution: Execution, part: str) -> AtomRun | None:
    """The reverse of `atom_part`; takes either."""
    runs: QuerySet[AtomRun] = AtomRun.objects.filter(execution=execution).select_related("atom")
    found = runs.filter(key=part).first()
    if found is None and (identifier := as_uuid(part)) is not None:
        found = runs.filter(pk=identifier).first()
    return found


def as_uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def matching_ids(rows: QuerySet[Execution], text: str) -> tuple[QuerySet[Execution], Q]:
    """Rows, and a condition for those whose id is `text` or ends like it (as `short_id` shows it)."""
    identifier = as_uuid(text)
    if identifier is not None:
        return rows, Q(pk=identifier)
    # Twelve: as far as an id's last group goes, which every database writes without dashes.
    if len(text) <= 12 and _HEX.fullmatch(text.lower()):
        return rows.annotate(id_text=Cast("id", CharField())), Q(id_text__iendswith=text)
    return rows, Q(pk__in=[])
