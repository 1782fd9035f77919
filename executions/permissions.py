"""Who may do what, for REST, pages, admin and sockets alike. What somebody sees is `visible_to`'s business.

A person acts on what he sees, unless his roles say less. Roles are the groups `viewer`, `operator` and `author`, given in the
admin; somebody with none of them, and any superuser, has every right.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser


class Right(StrEnum):
    OPERATE = "operate"
    """Start, pause, resume, cancel and whatever else steers an execution."""
    AUTHOR = "author"
    """Store masterplans."""


ROLES: Mapping[str, frozenset[Right]] = {
    "viewer": frozenset(),
    "operator": frozenset({Right.OPERATE}),
    "author": frozenset({Right.OPERATE, Right.AUTHOR}),
}
"""Name of the group, and what it allows. Several add up."""


def may(user: AbstractBaseUser | AnonymousUser, right: Right) -> bool:
    """Whether this user has the right at all. Ask `visible_to` for the row first: the invisible is 404, not 403."""
    if not user.is_authenticated or not getattr(user, "is_active", False):
        return False
    if getattr(user, "is_superuser", False):
        return True
    groups = getattr(user, "groups", None)
    if groups is None:
        return False
    given = set(groups.filter(name__in=ROLES).values_list("name", flat=True))
    return not given or any(right in ROLES[name] for name in given)
