"""Tokens with which scripts act for a user. Only a digest is kept: a token is shown once, when it is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from django.conf import settings
from django.db import models

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser, AnonymousUser


class ApiTokenQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        """Staff see all, others their own. A team shares no tokens."""
        if not user.is_authenticated or not getattr(user, "is_active", False):
            return self.none()
        return self if getattr(user, "is_staff", False) else self.filter(owner_id=user.pk)


class ApiToken(models.Model):
    """One token. Its text is `mge_<key id>_<secret>`; whoever has it acts as the owner."""

    key_id = models.CharField(max_length=16, unique=True, help_text="the part that may be shown")
    digest = models.CharField(max_length=64, help_text="SHA-256 of the whole text, hex")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100, blank=True, help_text="what it is used for")
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="none: it does not expire")
    last_used_at = models.DateTimeField(null=True, blank=True, help_text="to the minute")

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"mge_{self.key_id}_…"
