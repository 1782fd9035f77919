"""When a fault strikes: at any time, or right when something nasty to be interrupted has just happened."""

from __future__ import annotations

import random
import time
from enum import StrEnum

from chaos.installation import Installation
from chaos.model_process import ModelProcess

LONGEST_S = 8.0
"""How long to wait for a moment before striking anyway."""
LOOK_S = 0.004


class Moment(StrEnum):
    """What has just happened when the fault strikes."""

    ANY = "any time"
    INTENT = "a call has just been made"
    ANSWER = "an answer has just been given"
    VERDICT = "an attempt has just ended"
    CLAIM = "an atom has just been claimed"


def draw(rng: random.Random) -> Moment:
    """Half of the faults come at any time."""
    moments: tuple[Moment, ...] = (Moment.ANY, Moment.ANY, Moment.ANY, *Moment)
    return rng.choice(moments)


def wait_for_moment(moment: Moment, installation: Installation, model: ModelProcess) -> bool:
    """Return as soon as it has come; False when it did not come in time."""
    reading = {
        Moment.INTENT: lambda: model.counts().calls,
        Moment.ANSWER: lambda: model.counts().complete,
        Moment.VERDICT: lambda: _events(installation, "attempt.ended"),
        Moment.CLAIM: lambda: _events(installation, "atom.started", "atom.resumed"),
    }.get(moment)
    if reading is None:
        return True
    before, deadline = reading(), time.monotonic() + LONGEST_S
    while reading() == before:
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_S)
    return True


def _events(installation: Installation, *types: str) -> int:
    marks = ", ".join("?" for _ in types)
    found: int = installation.query(
        f"SELECT COUNT(*) FROM executions_event WHERE type IN ({marks})",  # noqa: S608  marks only
        *types,
    )[0][0]
    return found
