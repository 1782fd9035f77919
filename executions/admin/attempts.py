"""Attempts, calls and issues in the admin: prompt, answer, code and findings, readable."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString

from executions.admin.evidence import EvidenceAdmin, EvidenceInline, link, text_block, usd
from executions.models import Attempt, Call, Issue


class IssueInline(EvidenceInline):
    model = Issue
    fields = ("ordinal", "severity", "rule", "line", "message")
    readonly_fields = fields
    show_change_link = False
    max_num = 0


class CallInline(EvidenceInline):
    model = Call
    fields = (
        "ordinal",
        "model",
        "outcome",
        "status_code",
        "input_tokens",
        "output_tokens",
        "started_at",
        "ended_at",
    )
    readonly_fields = fields
    max_num = 0


@admin.register(Attempt)
class AttemptAdmin(EvidenceAdmin):
    list_display = (
        "__str__",
        "atom_key",
        "execution",
        "generation",
        "kind",
        "author",
        "strategy",
        "status",
        "superseded",
        "isolation",
        "started_at",
    )
    list_filter = ("status", "kind", "superseded", "author", "strategy", "isolation", "started_at")
    list_select_related = ("atom_run",)
    search_fields = ("atom_run__key", "execution__id", "author", "code")
    inlines = (IssueInline, CallInline)
    fields = (
        ("atom_link", "number", "generation", "superseded"),
        ("kind", "author", "strategy", "status", "isolation"),
        "origin_link",
        "rung",
        "shown_code",
        ("tests_total", "tests_passed"),
        ("validation_ms", "validation_cpu_ms"),
        ("started_at", "ended_at"),
        "shown_system",
        "shown_prompt",
    )

    def get_readonly_fields(self, request: object, obj: object = None) -> tuple[str, ...]:
        return ("atom_link", "origin_link", "shown_code", "shown_system", "shown_prompt")

    @admin.display(description="atom", ordering="atom_run__key")
    def atom_key(self, attempt: Attempt) -> str:
        return attempt.atom_run.key

    @admin.display(description="atom")
    def atom_link(self, attempt: Attempt) -> SafeString | str:
        return link(attempt.atom_run)

    @admin.display(description="taken over from")
    def origin_link(self, attempt: Attempt) -> SafeString | str:
        if attempt.origin is None:
            return "-"
        origin = Attempt.objects.filter(pk=attempt.origin).select_related("atom_run").first()
        # Whose execution has been removed since leaves its id.
        return str(attempt.origin) if origin is None else link(origin, f"{origin.atom_run.key}, {origin}")

    @admin.display(description="code")
    def shown_code(self, attempt: Attempt) -> SafeString | str:
        return text_block(attempt.code)

    @admin.display(description="system prompt")
    def shown_system(self, attempt: Attempt) -> SafeString | str:
        return text_block(attempt.prompt_system)

    @admin.display(description="prompt")
    def shown_prompt(self, attempt: Attempt) -> SafeString | str:
        return text_block(attempt.prompt_user)


@admin.register(Call)
class CallAdmin(EvidenceAdmin):
    list_display = (
        "__str__",
        "atom_key",
        "model",
        "outcome",
        "status_code",
        "input_tokens",
        "output_tokens",
        "cost",
        "started_at",
    )
    list_filter = ("outcome", "model", "price_kind", "started_at")
    list_select_related = ("attempt__atom_run",)
    search_fields = ("request_id", "attempt__atom_run__key", "execution__id", "error")
    fields = (
        ("attempt_link", "ordinal", "endpoint", "model"),
        ("outcome", "status_code", "error_type", "stop_reason"),
        "shown_error",
        "shown_answer",
        "requested",
        "applied",
        "dropped",
        ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"),
        ("price_kind", "reserved", "cost"),
        ("owner", "fence", "request_id"),
        ("started_at", "ended_at"),
    )

    def get_readonly_fields(self, request: object, obj: object = None) -> tuple[str, ...]:
        return ("attempt_link", "shown_error", "shown_answer", "reserved", "cost")

    @admin.display(description="atom", ordering="attempt__atom_run__key")
    def atom_key(self, call: Call) -> str:
        return call.attempt.atom_run.key

    @admin.display(description="attempt")
    def attempt_link(self, call: Call) -> SafeString | str:
        return link(call.attempt, f"{call.attempt.atom_run.key}, {call.attempt}")

    @admin.display(description="reserved")
    def reserved(self, call: Call) -> str:
        return usd(call.reserved_nano_usd)

    @admin.display(description="cost", ordering="cost_nano_usd")
    def cost(self, call: Call) -> str:
        return usd(call.cost_nano_usd)

    @admin.display(description="error")
    def shown_error(self, call: Call) -> SafeString | str:
        return text_block(call.error)

    @admin.display(description="answer")
    def shown_answer(self, call: Call) -> SafeString | str:
        return text_block(call.answer)


@admin.register(Issue)
class IssueAdmin(EvidenceAdmin):
    list_display = ("severity", "rule", "line", "first_line", "attempt_link")
    list_filter = ("severity", "rule")
    list_select_related = ("attempt__atom_run",)
    search_fields = ("rule", "message", "attempt__atom_run__key")

    @admin.display(description="message")
    def first_line(self, issue: Issue) -> str:
        return issue.message.splitlines()[0][:160] if issue.message else ""

    @admin.display(description="attempt")
    def attempt_link(self, issue: Issue) -> SafeString | str:
        return link(issue.attempt, f"{issue.attempt.atom_run.key}, {issue.attempt}")
