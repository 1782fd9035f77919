"""Masterplans and atoms in the admin."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString

from executions.admin.evidence import EvidenceAdmin, EvidenceInline, text_block
from executions.models import Atom, Masterplan


class AtomInline(EvidenceInline):
    model = Atom
    fields = ("position", "key", "name", "wave", "target_path", "language")
    readonly_fields = fields
    ordering = ("position",)
    max_num = 0


@admin.register(Masterplan)
class MasterplanAdmin(EvidenceAdmin):
    list_display = ("name", "version", "atoms_total", "waves_total", "owner", "team", "created_at")
    list_filter = ("created_at", "owner", "team")
    list_select_related = ("owner", "team")
    search_fields = ("name", "description", "id")
    date_hierarchy = "created_at"
    inlines = (AtomInline,)


@admin.register(Atom)
class AtomAdmin(EvidenceAdmin):
    list_display = ("key", "name", "masterplan", "wave", "target_path", "language")
    list_filter = ("language", "wave", "masterplan")
    list_select_related = ("masterplan",)
    search_fields = ("key", "name", "description", "target_path")
    fields = (
        ("masterplan", "key", "name"),
        ("wave", "chain", "position", "language"),
        ("target_path", "entry_points", "depends_on"),
        "shown_description",
        "shown_signature",
        "shown_contract",
        "shown_tests",
        "shown_hidden_tests",
        "shown_instructions",
    )

    @admin.display(description="description")
    def shown_description(self, atom: Atom) -> SafeString | str:
        return text_block(atom.description)

    @admin.display(description="signature")
    def shown_signature(self, atom: Atom) -> SafeString | str:
        return text_block(atom.signature)

    @admin.display(description="contract")
    def shown_contract(self, atom: Atom) -> SafeString | str:
        return text_block(atom.contract or atom.prompt)

    @admin.display(description="tests")
    def shown_tests(self, atom: Atom) -> SafeString | str:
        return text_block(atom.tests)

    @admin.display(description="hidden tests")
    def shown_hidden_tests(self, atom: Atom) -> SafeString | str:
        return text_block(atom.hidden_tests)

    @admin.display(description="instructions")
    def shown_instructions(self, atom: Atom) -> SafeString | str:
        return text_block(atom.instructions)

    def get_readonly_fields(self, request: object, obj: object = None) -> tuple[str, ...]:
        return (
            "shown_description",
            "shown_signature",
            "shown_contract",
            "shown_tests",
            "shown_hidden_tests",
            "shown_instructions",
        )
