"""The first run of a site: somebody who can log in, and something to look at."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction

from executions.models import Execution
from executions.planning.format import load_file
from executions.services.errors import StartRefused
from executions.services.masterplans import store_masterplans
from executions.services.start import start_execution

NAME = "admin"
SAMPLE = settings.BASE_DIR / "examples" / "ledgerly.yaml"
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without those that are taken for one another: a person may have to type it."""


@dataclass(frozen=True, slots=True)
class FirstRun:
    """What was made. The password is nowhere else."""

    username: str
    password: str
    sample: Execution | None
    no_sample: str
    """Why there is no sample execution; empty when there is."""


def prepare_first_run() -> FirstRun | None:
    """Make a superuser and start the sample with the scripted model; None when the site has users already.

    All or nothing: a run that is cut short here is a first run again next time.
    """
    users = get_user_model()
    if users.objects.exists():
        return None
    password = "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(4))
    try:
        with transaction.atomic():
            admin = users.objects.create_superuser(username=NAME, email="", password=password)
            (masterplan,) = store_masterplans(load_file(SAMPLE), owner=admin)
            try:
                sample = start_execution(masterplan=masterplan, actor=admin, scripted=True)
            except StartRefused as refused:
                return FirstRun(NAME, password, None, str(refused))
    except IntegrityError:
        return None  # another node was first
    return FirstRun(NAME, password, sample, "")
