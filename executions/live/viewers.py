"""Who looks through a socket, asked again while it is open, and the rules of what each may see."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from importlib import import_module
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib import auth
from django.http import HttpRequest

from executions.models import Execution

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser


def user_of_session(key: str | None) -> AbstractBaseUser | AnonymousUser:
    """Whom a session belongs to now: nobody after logging out, a change of the password, or when it expired."""
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    return auth.get_user(request)


def may_see(user: AbstractBaseUser | AnonymousUser, execution_id: uuid.UUID) -> bool:
    """The rule of an execution's feed."""
    return bool(Execution.objects.visible_to(user).filter(pk=execution_id).exists())


def visible_among(
    user: AbstractBaseUser | AnonymousUser, execution_ids: Collection[uuid.UUID]
) -> set[uuid.UUID]:
    """The rule of the list feed: which of these the user may see."""
    return set(Execution.objects.visible_to(user).filter(pk__in=execution_ids).values_list("pk", flat=True))
