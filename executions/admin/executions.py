"""Executions, waves and atom runs in the admin. The execution's page moves live, by the feed that all pages share."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString

from executions.admin.evidence import EvidenceAdmin, EvidenceInline, link, text_block, usd
from executions.models import AtomRun, Attempt, Execution, Gate, Wave
from executions.services.control import cancel_execution, pause_execution, resume_execution
from executions.services.errors import InvalidRequest
from executions.services.explain import approvals_asked, why_waiting
from executions.services.repair import preview_retry, retry_atoms
from executions.states import EXECUTION_ENDED, WrongState

Verb = Callable[..., Any]
MOST_ATOMS_SHOWN = 2000
MOST_NAMED = 10


class ForkInline(EvidenceInline):
    """Executions that took over results of this one."""

    model = Execution
    fk_name = "forked_from"
    verbose_name_plural = "forks"
    fields = ("masterplan", "status", "forked_at_wave", "model", "owner", "created_at")
    readonly_fields = fields
    max_num = 0


class GateInline(EvidenceInline):
    """How its project was judged."""

    model = Gate
    fields = (
        "level",
        "wave",
        "status",
        "tests_passed",
        "tests_total",
        "shown_findings",
        "isolation",
        "ended_at",
    )
    readonly_fields = fields
    max_num = 0
    show_change_link = False

    @admin.display(description="findings")
    def shown_findings(self, gate: Gate) -> SafeString | str:
        found = gate.findings[:MOST_NAMED]
        return text_block("\n".join(f"{one['severity']} {one['rule']}: {one['message']}" for one in found))


@admin.register(Execution)
class ExecutionAdmin(EvidenceAdmin):
    change_form_template = "admin/executions/execution/change_form.html"
    list_display = (
        "short_id",
        "masterplan",
        "status",
        "progress",
        "precision",
        "attempts_total",
        "cost",
        "model",
        "owner",
        "created_at",
    )
    list_display_links = ("short_id",)
    list_filter = (
        "status",
        "schedule",
        "asks_people",
        ("forked_from", admin.EmptyFieldListFilter),
        "model",
        "created_at",
        "owner",
    )
    list_select_related = ("masterplan", "owner")
    search_fields = ("id", "masterplan__name", "model")
    date_hierarchy = "created_at"
    actions = ("pause", "resume", "cancel", "retry_failed")
    inlines = (GateInline, ForkInline)

    @admin.display(description="execution", ordering="id")
    def short_id(self, execution: Execution) -> str:
        return str(execution.id)[-12:]

    @admin.display(description="atoms")
    def progress(self, execution: Execution) -> str:
        return f"{execution.atoms_ended} of {execution.atoms_total}"

    @admin.display(description="precision")
    def precision(self, execution: Execution) -> str:
        return f"{execution.precision_percent:.1f} %"

    @admin.display(description="cost", ordering="cost_nano_usd")
    def cost(self, execution: Execution) -> str:
        return usd(execution.cost_nano_usd)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Who may steer: those who may change executions by Django's own permissions."""
        return bool(request.user.has_perm("executions.change_execution"))

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        execution = self.get_object(request, object_id)
        extra: dict[str, Any] = {}
        if isinstance(execution, Execution):
            atoms = AtomRun.objects.filter(execution=execution).order_by("wave", "position")
            by_wave: dict[int, list[AtomRun]] = {}
            for atom in atoms[:MOST_ATOMS_SHOWN]:
                by_wave.setdefault(atom.wave, []).append(atom)
            waves = Wave.objects.filter(execution=execution).order_by("number")
            extra = {
                "execution": execution,
                "ended": execution.status in EXECUTION_ENDED,
                "waves": [(wave, by_wave.get(wave.number, [])) for wave in waves],
                "cost": usd(execution.cost_nano_usd),
                "waiting": why_waiting(execution),
                "asked": approvals_asked(execution),
            }
        return super().change_view(request, object_id, form_url, {**extra, **(extra_context or {})})

    @admin.action(description="Pause the chosen executions", permissions=["operate"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Execution]) -> HttpResponse | None:
        return self._confirmed(request, queryset, "pause", pause_execution)

    @admin.action(description="Resume the chosen executions", permissions=["operate"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Execution]) -> HttpResponse | None:
        return self._confirmed(request, queryset, "resume", resume_execution)

    @admin.action(description="Cancel the chosen executions, for good", permissions=["operate"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Execution]) -> HttpResponse | None:
        return self._confirmed(request, queryset, "cancel", cancel_execution)

    @admin.action(description="Retry what failed in the chosen executions", permissions=["operate"])
    def retry_failed(self, request: HttpRequest, queryset: QuerySet[Execution]) -> HttpResponse | None:
        return self._confirmed(
            request, queryset, "retry_failed", partial(retry_atoms, failed=True), _would_retry
        )

    def _confirmed(
        self,
        request: HttpRequest,
        queryset: QuerySet[Execution],
        name: str,
        verb: Verb,
        preview: Callable[[Execution], str] | None = None,
    ) -> HttpResponse | None:
        """Ask first, then do it for each; those in a wrong state are named and left alone."""
        words = name.replace("_", " ")
        if request.POST.get("confirmed") != "yes":
            context = {
                **self.admin_site.each_context(request),
                "title": f"{words.capitalize()} executions?",
                "verb": name,
                "words": words,
                "executions": [
                    (one, preview(one) if preview else "") for one in queryset.select_related("masterplan")
                ],
                "action_checkbox_name": helpers.ACTION_CHECKBOX_NAME,
                "opts": self.model._meta,
            }
            return TemplateResponse(request, "admin/executions/execution/confirm.html", context)
        done = 0
        for execution in queryset:
            try:
                verb(execution_id=execution.id, actor=request.user, why=request.POST.get("why", "")[:500])
                done += 1
            except (WrongState, InvalidRequest) as error:
                self.message_user(request, f"{execution.id}: {error}", messages.WARNING)
        if done:
            self.message_user(request, f"{words}: {done} executions", messages.SUCCESS)
        return None


def _would_retry(execution: Execution) -> str:
    """What exactly would begin anew, or why nothing can."""
    try:
        plan = preview_retry(execution_id=execution.id, failed=True)
    except (WrongState, InvalidRequest) as error:
        return str(error)
    if plan.changes_nothing:
        return "nothing failed"
    named = ", ".join(plan.generated[:MOST_NAMED]) + (" …" if len(plan.generated) > MOST_NAMED else "")
    revived = f", {len(plan.revived)} are no longer blocked" if plan.revived else ""
    return f"{len(plan.generated)} atoms are generated again ({named}){revived}"


@admin.register(Wave)
class WaveAdmin(EvidenceAdmin):
    list_display = (
        "number",
        "execution",
        "status",
        "approval",
        "atoms_total",
        "atoms_succeeded",
        "atoms_unsuccessful",
        "started_at",
        "ended_at",
    )
    list_filter = ("status", "approval", "started_at")
    search_fields = ("execution__id", "execution__masterplan__name")


class AttemptInline(EvidenceInline):
    model = Attempt
    fk_name = "atom_run"
    fields = (
        "generation",
        "number",
        "kind",
        "author",
        "strategy",
        "status",
        "superseded",
        "isolation",
        "tests_total",
        "started_at",
        "ended_at",
    )
    readonly_fields = fields
    max_num = 0


@admin.register(AtomRun)
class AtomRunAdmin(EvidenceAdmin):
    list_display = (
        "key",
        "execution",
        "wave",
        "status",
        "reason",
        "approval",
        "attempts",
        "assurance",
        "deaths",
        "ended_at",
    )
    list_filter = ("status", "approval", "reason", "assurance", "ended_at")
    search_fields = ("key", "execution__id", "error")
    inlines = (AttemptInline,)
    fields = (
        ("execution", "atom", "wave"),
        ("status", "reason", "assurance", "approval"),
        "shown_error",
        "shown_code",
        ("attempts", "faults", "deaths", "generation"),
        ("lease_owner", "lease_until", "fence"),
        ("not_before", "started_at", "ended_at"),
    )

    def get_readonly_fields(self, request: object, obj: object = None) -> tuple[str, ...]:
        return ("shown_error", "shown_code")

    @admin.display(description="error")
    def shown_error(self, run: AtomRun) -> SafeString | str:
        return text_block(run.error)

    @admin.display(description="accepted code")
    def shown_code(self, run: AtomRun) -> SafeString | str:
        return text_block(run.accepted.code) if run.accepted is not None else "-"

    @admin.display(description="execution")
    def execution_link(self, run: AtomRun) -> SafeString | str:
        return link(run.execution)
