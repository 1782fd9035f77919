"""Events as sentences for the log. Ids and small facts only; what a person wrote is shown as he wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from executions.models import Event

CONTROL_WORDS: Mapping[str, str] = {
    "approve": "approved",
    "fork": "forked",
    "judge": "judged again",
    "review": "code supplied",
    "rollback": "rolled back",
}
"""Where the sentence does not begin with the stored word."""


def sentence(event: Event) -> str:
    """What happened, without where: wave, atom and attempt have columns of their own."""
    data: Mapping[str, Any] = event.data
    match event.type:
        case "execution.created":
            taken = f", forked at wave {data.get('at_wave')}" if data.get("forked_from") else ""
            return f"created by {data.get('who', 'command')}: {data.get('atoms')} atoms in {data.get('waves')} waves{taken}"
        case "execution.building":
            return f"being stored: {data.get('stored')} of {data.get('atoms')} atoms"
        case "execution.built":
            return f"stored: {data.get('atoms')} atoms"
        case "execution.building":
            return f"{data.get('stored')} of {data.get('atoms')} atoms are stored"
        case "execution.built":
            return f"all {data.get('atoms')} atoms are stored"
        case "execution.started":
            return "started"
        case "execution.pausing" | "execution.paused":
            word = event.type.partition(".")[2]
            return f"{word}: {data['reason']}" if data.get("reason") else word
        case "execution.resumed":
            return "resumed"
        case "execution.reopened":
            return "runs again" + (f", run {data['run_number']}" if data.get("run_number") else "")
        case "execution.ended":
            return f"{data.get('status')}: {data.get('succeeded')} of {data.get('atoms')} atoms succeeded"
        case "wave.started":
            return f"started: {data.get('atoms')} atoms"
        case "wave.ended":
            if "succeeded" not in data:
                return str(data.get("status", "ended"))
            bad = data.get("unsuccessful") or 0
            return f"{data.get('status')}: {data['succeeded']} succeeded" + (
                f", {bad} did not" if bad else ""
            )
        case "wave.reopened":
            return "opened again" if data.get("status") == "running" else "waits for its turn again"
        case "gate.started":
            return f"{_gate(data)} is being judged"
        case "gate.ended":
            return _judged(data)
        case "gate.lost":
            return f"the owner of the {_gate(data)} is gone: taken back"
        case "gate.reopened":
            return f"{_gate(data)} waits again, was {data.get('was')}"
        case "atom.started":
            return "started"
        case "atom.reopened":
            was = str(data.get("was", "")).replace("dead_lettered", "dead-lettered")
            return "opened again" + (f", was {was}" if was else "")
        case "atom.ended":
            return _ending(data)
        case "attempt.started" if data.get("kind") == "cache":
            return "answer taken from the cache"
        case "attempt.started" if data.get("kind") == "person":
            return "code supplied by a person"
        case "attempt.started":
            temperature = data.get("temperature")
            return str(data.get("strategy", "started")) + (
                "" if temperature is None else f", temperature {temperature}"
            )
        case "attempt.ended":
            blocking = data.get("blocking") or 0
            found = f": {blocking} {'error' if blocking == 1 else 'errors'}" if blocking else ""
            return f"{data.get('status')}{found}"
        case "atom.resumed":
            return "goes on"
        case "atom.released":
            return "given back, to be gone on with"
        case "attempt.overran":
            return f"took longer than {data.get('limit_s'):g} s"
        case "approval.requested":
            return "waits for approval"
        case "lease.lost":
            return "its owner is gone: taken back"
        case "lease.late_write":
            return f"a former owner came late with its {data.get('what')}: refused"
        case "call.answered":
            return f"answered in {data.get('output_tokens')} tokens"
        case "call.failed":
            return " ".join(
                str(one)
                for one in (data.get("outcome"), data.get("status_code"), data.get("error_type"))
                if one
            )
        case kind if kind.startswith("control."):
            why = f": {data['why']}" if data.get("why") else ""
            what = data.get("what", kind.partition(".")[2])
            return f"{CONTROL_WORDS.get(what, what)}{_extent(data)} by {data.get('who')}{why}"
        case _:
            return ", ".join(
                f"{key} {value}" for key, value in sorted(data.items()) if value not in (None, "", [], {})
            )


def _extent(data: Mapping[str, Any]) -> str:
    """What a retry, a rollback or a fork is about."""
    match data.get("what"):
        case "retry" | "rollback":
            again = data.get("generated") or 0
            atoms = f"{again} {'atom' if again == 1 else 'atoms'} again"
            if data.get("revived"):
                atoms += f", {data['revived']} no longer blocked"
            place = f" to the end of wave {data.get('to_wave')}" if data["what"] == "rollback" else ""
            return f"{place} ({atoms})"
        case "fork":
            return f" as {str(data.get('fork', ''))[-8:]}"
        case _:
            return ""


def _gate(data: Mapping[str, Any]) -> str:
    """Of a wave's gate the log says which wave; the masterplan's has none."""
    return "gate of the masterplan" if data.get("level") == "masterplan" else "gate"


def _judged(data: Mapping[str, Any]) -> str:
    said = f"{_gate(data)} {data.get('status', 'ended')}"
    if "tests_total" in data:
        said += f": {data.get('tests_passed')} of {data['tests_total']} tests"
    if found := data.get("findings_total") or 0:
        said += f", {found} {'finding' if found == 1 else 'findings'}"
    return said


def _ending(data: Mapping[str, Any]) -> str:
    word = str(data.get("status", "ended")).replace("dead_lettered", "dead-lettered")
    attempts = data.get("attempts") or 0
    if attempts:
        word += f" after {attempts} {'attempt' if attempts == 1 else 'attempts'}"
    if data.get("assurance"):
        word += f", {data['assurance']}"
    elif data.get("reason") and data["reason"] != data.get("status"):
        word += f" ({data['reason']})"
    return word
