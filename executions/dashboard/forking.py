"""Fork an execution from a page: up to which wave its results are taken over, and what is different."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from executions.dashboard.links import short_id
from executions.dashboard.mending import find_execution, places_behind
from executions.dashboard.signed_in import require, signed_in
from executions.models import Execution, Wave
from executions.permissions import Right
from executions.services.errors import InvalidRequest, InvalidSettings, StartRefused
from executions.services.fork import fork_costs_money, fork_execution
from executions.services.settings_of_execution import MOST_CONCURRENCY


class ForkForm(forms.Form):
    """What a fork takes over and where it differs. Ranges and meanings are the service's; it says what does not fit."""

    wave = forms.TypedChoiceField(
        coerce=int,
        label="Take over the results of",
        help_text="Atoms of these waves that have succeeded keep their code and cost nothing; all others are generated.",
    )
    model = forms.CharField(
        max_length=200,
        label="Model",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    max_concurrency = forms.CharField(
        label="Atoms at the same time",
        widget=forms.NumberInput(attrs={"min": 1, "max": MOST_CONCURRENCY}),
    )
    budget_usd = forms.CharField(
        required=False,
        label="Budget in USD",
        widget=forms.NumberInput(attrs={"min": 0, "step": "any", "placeholder": "no limit"}),
        help_text="Of the fork alone; it pauses before it would spend more.",
    )
    why = forms.CharField(
        required=False,
        max_length=500,
        label="Reason",
        help_text="Optional, kept in the history of both.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    agree_to_pay = forms.CharField(required=False)

    SETTINGS: ClassVar[tuple[str, ...]] = ("model", "max_concurrency", "budget_usd")

    def __init__(self, data: Any = None, *, execution: Execution) -> None:
        self.execution = execution
        self.settings: dict[str, str] = {}
        """After `is_valid()`: where the fork differs."""
        self.priced_model: str | None = None
        """The model that would be paid for; asks for agreement by name."""
        config = execution.config
        places = _places(execution)
        initial = {
            "wave": _usual(execution, places),
            "model": execution.model,
            "max_concurrency": execution.max_concurrency,
            "budget_usd": config.get("budget_usd") or "",
        }
        super().__init__(data, initial=initial)
        chosen = self.fields["wave"]
        if isinstance(chosen, forms.TypedChoiceField):
            chosen.choices = places
        if data is None:
            try:
                self.priced_model = fork_costs_money(execution)
            except InvalidSettings:
                # What it was started with cannot be used here any more: sending the form says why.
                self.priced_model = None

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        given = {name: cleaned[name] for name in self.SETTINGS if name in cleaned and self._differs(name)}
        if given.get("budget_usd") == "":
            self.add_error("budget_usd", "A budget can be changed here, not taken away.")
            return cleaned
        try:
            self.priced_model = fork_costs_money(self.execution, given)
        except InvalidSettings as error:
            for problem in error.problems:
                name, colon, message = problem.partition(": ")
                known = bool(colon) and name in self.fields
                self.add_error(
                    name if known else None, message.capitalize() + "." if known else f"{problem}."
                )
            return cleaned
        agreed = self.priced_model is None or cleaned.get("agree_to_pay") == self.priced_model
        if not agreed and not self.errors:
            self.add_error(
                "agree_to_pay", f"{self.priced_model} costs money: tick this to agree, then fork again."
            )
        self.settings = given
        return cleaned

    def _differs(self, name: str) -> bool:
        """A setting that is as it was is not given again: the fork keeps its endpoint as well."""
        return str(self.cleaned_data[name]) != str(self.initial[name])


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def fork(request: HttpRequest, execution_id: uuid.UUID) -> HttpResponseBase:
    execution = find_execution(request, execution_id)
    actor = require(request, Right.OPERATE)
    form = ForkForm(request.POST if request.method == "POST" else None, execution=execution)
    if request.method == "POST" and form.is_valid():
        try:
            made = fork_execution(
                execution_id=execution.pk,
                actor=actor,
                wave=form.cleaned_data["wave"],
                settings=form.settings,
                why=form.cleaned_data["why"],
            )
        except (InvalidRequest, InvalidSettings) as error:
            for problem in error.problems:
                form.add_error(None, f"{problem}.")
        except StartRefused as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"This is the fork of {short_id(execution.pk)}.")
            return redirect("dashboard:execution", made.pk)
    status = 422 if request.method == "POST" else 200
    return render(request, "dashboard/fork.html", {"form": form, "execution": execution}, status=status)


def _usual(execution: Execution, places: list[tuple[int, str]]) -> int:
    """As much as can be taken over, so that something is left to be done."""
    everything = execution.atoms_succeeded == execution.atoms_total and len(places) > 1
    return places[1 if everything else 0][0]


def _places(execution: Execution) -> list[tuple[int, str]]:
    """Waves that can be taken over, the most first: all up to one of which every atom has ended."""
    numbers = [place.number for place in places_behind(execution)]
    waves = {wave.number: wave for wave in Wave.objects.filter(execution=execution)}
    last = waves.get(execution.waves_total)
    if last is not None and numbers and numbers[0] == last.number - 1:
        ended = last.atoms_succeeded + last.atoms_unsuccessful
        numbers = [last.number, *numbers] if ended == last.atoms_total else numbers
    taken = 0
    labels = {0: "no wave: generate everything"}
    for number in sorted(waves):
        taken += waves[number].atoms_succeeded
        span = "wave 1" if number == 1 else f"waves 1 to {number}"
        labels[number] = f"{span}: {taken:,} {'atom' if taken == 1 else 'atoms'} that succeeded"
    return [(number, labels[number]) for number in numbers or [0]]
