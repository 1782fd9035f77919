"""Forms: what a person typed becomes arguments of one service verb; what is wrong comes back beside the field."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.core.files.uploadedfile import UploadedFile

from executions.generation.prices import is_scripted
from executions.models import Masterplan
from executions.planning.format import InvalidMasterplan, PlanSpec, Problem, load_bytes
from executions.planning.specs import MAX_FILE_BYTES
from executions.services.errors import InvalidSettings
from executions.services.settings_of_execution import MOST_ATTEMPTS, MOST_CONCURRENCY, configure
from executions.services.start import costs_money

VALIDATORS = (
    ("full", "Full: the tests of each atom are run"),
    ("syntax", "Syntax: no test is run, atoms count as static"),
)
GATE_POLICIES = (
    ("report", "Report it, and go on"),
    ("stop", "Stop: pause the execution"),
)


class ImportForm(forms.Form):
    """A masterplan as a file or as pasted text."""

    file = forms.FileField(
        required=False,
        label="File",
        help_text="JSON or YAML, one masterplan or several.",
        widget=forms.FileInput(attrs={"accept": ".json,.yaml,.yml,application/json,application/yaml"}),
    )
    text = forms.CharField(
        required=False,
        strip=False,
        label="Or paste it here",
        widget=forms.Textarea(
            attrs={"rows": 14, "spellcheck": "false", "autocomplete": "off", "class": "code-input"}
        ),
    )

    plans: tuple[PlanSpec, ...] = ()
    """After `is_valid()`: what the text holds."""
    problems: tuple[Problem, ...] = ()
    """After `is_valid()`: everything that is wrong with it."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        file: UploadedFile[bytes] | None = cleaned.get("file")
        text: str = cleaned.get("text") or ""
        if self.errors:
            return cleaned
        if file is None and not text.strip():
            raise forms.ValidationError("Choose a file, or paste a masterplan.")
        if file is not None and text.strip():
            raise forms.ValidationError(
                "Give a file or a text, not both: it would not be clear which one counts."
            )
        if file is not None and (file.size or 0) > MAX_FILE_BYTES:
            raise forms.ValidationError(
                f"The file is too large: at most {MAX_FILE_BYTES:,} bytes are accepted."
            )
        origin = (file.name or "the file") if file is not None else "the pasted text"
        try:
            self.plans = load_bytes(file.read() if file is not None else text.encode(), origin=origin)
        except InvalidMasterplan as error:
            self.problems = error.problems
            count = len(error.problems)
            raise forms.ValidationError(
                f"Nothing was stored: {origin} has {count} {'problem' if count == 1 else 'problems'}."
            ) from None
        return cleaned


class StartForm(forms.Form):
    """The settings of an execution. Ranges and meanings are the service's; it says what does not fit."""

    model = forms.CharField(
        max_length=200,
        label="Model",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    max_concurrency = forms.CharField(
        label="Atoms at the same time",
        widget=forms.NumberInput(attrs={"min": 1, "max": MOST_CONCURRENCY}),
    )
    max_attempts = forms.CharField(
        label="Attempts per atom",
        widget=forms.NumberInput(attrs={"min": 1, "max": MOST_ATTEMPTS}),
        help_text="Each one learns from the findings of those before it.",
    )
    schedule = forms.ChoiceField(
        label="Schedule",
        choices=(
            ("waves", "Waves: the next wave starts when the one ahead has ended"),
            ("flow", "Flow: an atom starts when its own dependencies have succeeded"),
        ),
        widget=forms.RadioSelect,
    )
    validators = forms.ChoiceField(
        label="Validation",
        choices=VALIDATORS,
        widget=forms.RadioSelect,
    )
    on_dependency_failure = forms.ChoiceField(
        label="When an atom fails",
        choices=(
            ("block", "Block the atoms that build on it"),
            ("continue", "Continue without it"),
            ("stop", "Stop: pause the execution"),
        ),
        widget=forms.RadioSelect,
    )
    gate_wave = forms.ChoiceField(
        required=False,
        label="When a wave's project fails its gate",
        help_text="After each wave its modules are imported together, and the plan's tests of the wave are run.",
        choices=GATE_POLICIES,
        widget=forms.RadioSelect,
    )
    gate_masterplan = forms.ChoiceField(
        required=False,
        label="When the whole project fails its gate",
        help_text="At the end all modules are imported, and the plan's acceptance tests are run.",
        choices=GATE_POLICIES,
        widget=forms.RadioSelect,
    )
    budget_usd = forms.CharField(
        required=False,
        label="Budget in USD",
        widget=forms.NumberInput(attrs={"min": 0, "step": "any", "placeholder": "no limit"}),
        help_text="The execution pauses before it would spend more.",
    )
    agree_to_pay = forms.CharField(required=False)

    NUMBERS: ClassVar[tuple[str, ...]] = ("max_concurrency", "max_attempts", "budget_usd")

    def __init__(self, data: Any = None, *, masterplan: Masterplan) -> None:
        self.masterplan = masterplan
        self.settings: dict[str, str] = {}
        """After `is_valid()`: what to start with."""
        self.priced_model: str | None = None
        """The model that would be paid for; asks for agreement by name."""
        try:
            usual = configure({}, plan_defaults=masterplan.defaults)
        except InvalidSettings:
            # The plan's own defaults cannot be used; starting says so, setting by setting.
            usual = configure({})
        self.endpoint = usual.endpoint
        initial = {
            "model": usual.model,
            "max_concurrency": usual.max_concurrency,
            "max_attempts": usual.max_attempts,
            "schedule": usual.schedule,
            "validators": usual.validators,
            "on_dependency_failure": usual.on_dependency_failure,
            "gate_wave": usual.gate_wave,
            "gate_masterplan": usual.gate_masterplan,
            "budget_usd": usual.budget_usd or "",
        }
        super().__init__(data, initial=initial)
        chosen = self.fields["validators"]
        if usual.validators not in dict(VALIDATORS) and isinstance(chosen, forms.ChoiceField):
            chosen.choices = [*VALIDATORS, (usual.validators, f"As the masterplan says: {usual.validators}")]
        if data is None:
            self.priced_model = costs_money({}, masterplan) if usual.endpoint == "configured" else None

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        given = {name: value for name, value in cleaned.items() if name != "agree_to_pay" and value != ""}
        try:
            configure(given, plan_defaults=self.masterplan.defaults)
        except InvalidSettings as error:
            for problem in error.problems:
                name, colon, message = problem.partition(": ")
                known = bool(colon) and name in self.fields
                self.add_error(
                    name if known else None, message.capitalize() + "." if known else f"{problem}."
                )
            return cleaned
        model = str(given.get("model", ""))
        if self.endpoint == "embedded" and model and not is_scripted(model):
            self.add_error("model", "No endpoint is configured, so only models named scripted-… answer here.")
            return cleaned
        self.priced_model = costs_money(given, self.masterplan)
        if (
            self.priced_model is not None
            and cleaned.get("agree_to_pay") != self.priced_model
            and not self.errors
        ):
            self.add_error(
                "agree_to_pay", f"{self.priced_model} costs money: tick this to agree, then start again."
            )
        self.settings = given
        return cleaned
