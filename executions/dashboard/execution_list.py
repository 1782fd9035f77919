"""The list of executions: newest first, filters in the address, pages by key."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render

from executions.dashboard.links import as_uuid, matching_ids
from executions.dashboard.signed_in import signed_in
from executions.models import Execution, Masterplan
from executions.states import EXECUTION_ENDED, ExecutionStatus

PAGE = 50
ACTIVE = "active"
"""Stands for every state that is not an end."""
CHOICES: tuple[tuple[str, str], ...] = (
    ("", "any state"),
    (ACTIVE, "not ended"),
    *((status.value, status.value) for status in ExecutionStatus),
)


@dataclass(frozen=True, slots=True)
class Filters:
    """What the query string asks for; what it cannot mean is left out."""

    status: str = ""
    search: str = ""
    before: uuid.UUID | None = None

    @classmethod
    def of(cls, query: QueryDict) -> Self:
        status = query.get("status", "")
        return cls(
            status=status if status in dict(CHOICES) else "",
            search=query.get("q", "").strip()[:200],
            before=as_uuid(query.get("before", "")),
        )

    @property
    def narrowed(self) -> bool:
        return bool(self.status or self.search)

    def address(self, before: uuid.UUID | None = None) -> str:
        """The query string of the page that starts behind `before`."""
        wanted = {"status": self.status, "q": self.search, "before": "" if before is None else str(before)}
        return "?" + urlencode({key: value for key, value in wanted.items() if value})

    def apply(self, rows: QuerySet[Execution]) -> QuerySet[Execution]:
        if self.status == ACTIVE:
            rows = rows.exclude(status__in=sorted(EXECUTION_ENDED))
        elif self.status:
            rows = rows.filter(status=self.status)
        if self.search:
            rows, by_id = matching_ids(rows, self.search)
            rows = rows.filter(
                Q(masterplan__name__icontains=self.search) | Q(model__icontains=self.search) | by_id
            )
        if self.before is not None:
            # Ids begin with the time of creation: their order is the order in time, and a key to page by.
            rows = rows.filter(pk__lt=self.before)
        return rows.order_by("-pk")


@signed_in
def execution_list(request: HttpRequest) -> HttpResponse:
    filters = Filters.of(request.GET)
    visible: QuerySet[Execution] = Execution.objects.visible_to(request.user)
    rows = list(filters.apply(visible).select_related("masterplan", "owner")[: PAGE + 1])
    more = len(rows) > PAGE
    rows = rows[:PAGE]
    return render(
        request,
        "dashboard/execution_list.html",
        {
            "executions": rows,
            "filters": filters,
            "choices": CHOICES,
            "next_page": filters.address(rows[-1].pk) if more else "",
            "first_page": filters.address() if filters.before else "",
            "has_masterplans": bool(rows) or Masterplan.objects.visible_to(request.user).exists(),
        },
    )
