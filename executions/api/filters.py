"""Filters of the lists. A value that is none of the choices is refused with 400."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import django_filters  # type: ignore[import-untyped]
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from drf_spectacular.utils import extend_schema_field

from executions.models import AtomRun, Execution, Masterplan, with_finding
from executions.states import Approval, AtomStatus, ExecutionStatus

HIGHEST_WAVE = 1_000_000


def can_be_told_in_utc(moment: datetime) -> None:
    """The first and last hours of the calendar have no counterpart in another zone."""
    try:
        moment.astimezone(UTC)
    except OverflowError:
        raise ValidationError("lies outside the calendar") from None


@extend_schema_field({"type": "string", "pattern": "^[^\\u0000]*$"})
class SearchFilter(django_filters.CharFilter):  # type: ignore[misc]  # the package has no types
    """Part of a text."""


class OrderedFilterSet(django_filters.FilterSet):  # type: ignore[misc]  # the package has no types
    """Has the filter `ordering`, which says nothing about what is in the list: pagination reads it."""

    @staticmethod
    def leave(queryset: QuerySet[Any], name: str, value: Any) -> QuerySet[Any]:
        return queryset


class ExecutionFilter(OrderedFilterSet):
    status = django_filters.MultipleChoiceFilter(
        choices=[(one.value, one.value) for one in ExecutionStatus], help_text="repeat it for several"
    )
    masterplan = django_filters.UUIDFilter(field_name="masterplan_id", help_text="id of a masterplan")
    created_after = django_filters.IsoDateTimeFilter(
        field_name="created_at", lookup_expr="gt", validators=[can_be_told_in_utc]
    )
    created_before = django_filters.IsoDateTimeFilter(
        field_name="created_at", lookup_expr="lt", validators=[can_be_told_in_utc]
    )
    search = SearchFilter(method="find", help_text="part of the masterplan's name, or the start of the id")
    ordering = django_filters.ChoiceFilter(
        method="leave",
        choices=[(one, one) for one in ("created_at", "-created_at")],
        help_text="newest first unless said",
    )

    class Meta:
        model = Execution
        fields = ("status", "masterplan", "created_after", "created_before", "search", "ordering")

    def find(self, queryset: QuerySet[Execution], name: str, value: str) -> QuerySet[Execution]:
        matches = Q(masterplan__name__icontains=value)
        hexadecimal = value.replace("-", "").lower()
        if 0 < len(hexadecimal) <= 32 and set(hexadecimal) <= set("0123456789abcdef"):
            matches |= Q(pk__gte=hexadecimal.ljust(32, "0"), pk__lte=hexadecimal.ljust(32, "f"))
        return queryset.filter(matches)


class MasterplanFilter(OrderedFilterSet):
    search = SearchFilter(field_name="name", lookup_expr="icontains", help_text="part of the name")
    ordering = django_filters.ChoiceFilter(
        method="leave",
        choices=[(one, one) for one in ("created_at", "-created_at")],
        help_text="newest first unless said",
    )

    class Meta:
        model = Masterplan
        fields = ("search", "ordering")


class AtomFilter(django_filters.FilterSet):  # type: ignore[misc]  # the package has no types
    status = django_filters.MultipleChoiceFilter(
        choices=[(one.value, one.value) for one in AtomStatus], help_text="repeat it for several"
    )
    approval = django_filters.ChoiceFilter(
        choices=[(one.value, one.value) for one in Approval],
        help_text="`asked`: those that wait for a person now",
    )
    wave = extend_schema_field({"type": "integer", "minimum": 1, "maximum": HIGHEST_WAVE})(
        django_filters.NumberFilter(min_value=1, max_value=HIGHEST_WAVE, decimal_places=0)
    )
    search = SearchFilter(field_name="key", lookup_expr="icontains", help_text="part of the key")
    finding = SearchFilter(
        method="found",
        help_text="rule of an issue that still clings to the atom, e.g. `tests-prove-nothing`",
    )

    class Meta:
        model = AtomRun
        fields = ("status", "approval", "wave", "search", "finding")

    def found(self, queryset: QuerySet[AtomRun], name: str, value: str) -> QuerySet[AtomRun]:
        return queryset.filter(with_finding(value))
