"""The one rule of who sees what: `visible_to(user)`. Pages, REST, admin, export and sockets all ask it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from django.contrib.auth.models import Group
from django.db import models
from django.db.models import Q

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser


class OwnedQuerySet(models.QuerySet[Any]):
    """Rows that have an owner and perhaps a team, directly or through their model's `owned_through`."""

    model: type[OwnedModel]

    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        """Rows that this user may see: staff everything, others their own and their teams'. Denied otherwise."""
        if not user.is_authenticated or not getattr(user, "is_active", False):
            return self.none()
        if getattr(user, "is_staff", False):
            return self
        prefix = self.model.owned_through + "__" if self.model.owned_through else ""
        own = Q(**{prefix + "owner_id": user.pk})
        # A subquery, not a join: rows stay single, so that they can be counted, locked and deleted.
        teams = Group.objects.filter(user=user.pk).values("pk")
        return self.filter(own | Q(**{prefix + "team_id__in": teams}))


class OwnedModel(models.Model):
    """Base of every model that belongs to somebody."""

    owned_through: ClassVar[str] = ""
    """Path to the row that has `owner` and `team`; empty when this row has them."""

    objects = OwnedQuerySet.as_manager()

    class Meta:
        abstract = True
