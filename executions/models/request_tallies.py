"""How many requests each user made lately: what the site's processes tell each other, so that limits hold over all of them."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class RequestTally(models.Model):
    """Requests of one user and kind, by the second, as far back as a limit looks. One row, rewritten in place."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, db_index=False, related_name="+"
    )
    kind = models.CharField(max_length=8, help_text="reads or writes")
    seconds = models.JSONField(default=dict, help_text="Unix second (text, as JSON keys are): requests")

    class Meta:
        constraints = (models.UniqueConstraint(fields=("user", "kind"), name="request_tally_once"),)

    def __str__(self) -> str:
        return f"{self.kind} of user {self.user_id}"
