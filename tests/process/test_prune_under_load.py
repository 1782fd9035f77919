"""Old executions are removed while workers work; nothing of the others is lost or done twice."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.plans import layers, plan, write_plan
from tests.product import Product, endpoint, wait_for
from tests.scripted import ScriptedServer

START = """
from executions.models import Masterplan
from executions.services.start import start_execution
settings = {{"validators": "syntax", "cache": "off", "max_concurrency": {concurrency}}}
for _ in range({times}):
    start_execution(masterplan=Masterplan.objects.get(name={name!r}), actor=None, settings=settings)
"""
AGE_HALF_AND_FORK_THE_OLDEST = """
from datetime import timedelta
from django.db.models import F
from executions.models import Execution
from executions.services.fork import fork_execution
old = list(Execution.objects.order_by("created_at").values_list("id", flat=True)[:100])
Execution.objects.filter(pk__in=old).update(ended_at=F("ended_at") - timedelta(days=100))
print(old[0], fork_execution(execution_id=old[0], actor=None, wave=1).id)
"""


@pytest.mark.slow(on="postgres")
def test_a_hundred_of_two_hundred_executions_are_pruned_under_load(product: Product, scratch: Path) -> None:
    small = write_plan(scratch / "small", plan(*layers(2, 1), name="small"))
    big = write_plan(scratch / "big", plan(*layers(200, 200, prefix="b"), name="big"))
    assert product.manage("import_masterplan", small, big).returncode == 0
    with ScriptedServer("--answers", small, big, "--latency", "0.2") as server:
        product.environment.update(endpoint(server.url))
        product.start("qcluster")
        _shell(product, START.format(name="small", times=200, concurrency=10))
        wait_for(lambda: _count(product, "completed") == 200, "200 executions end", seconds=240)
        calls = server.stats()["calls"]
        assert calls == 600
        origin, fork = _shell(product, AGE_HALF_AND_FORK_THE_OLDEST).split()
        _shell(product, START.format(name="big", times=1, concurrency=10))
        wait_for(lambda: _won(product) > 20, "the large execution is under way")

        done = product.manage("prune", "--older-than", "90d")

        assert done.returncode == 0, done.stderr
        assert _count(product, "running") == 1, "the load was to last longer than the prune"
        assert re.search(rf"^kept  {origin}  small .*: forked as {fork}$", done.stdout, re.MULTILINE)
        assert "removed 99 executions (297 atoms, " in done.stdout
        assert product.manage("fsck").returncode == 0
        wait_for(lambda: _count(product, "completed") == 200 - 99 + 2, "what is left ends", seconds=120)
        assert server.stats()["calls"] == calls + 400 + 1, "nothing was asked twice"

    checked = product.manage("fsck")
    assert (checked.returncode, checked.stdout) == (0, "103 executions checked: clean\n")
    assert product.query("SELECT COUNT(*) FROM executions_atomrun WHERE status = 'succeeded'") == [
        (101 * 3 + 3 + 400,)
    ]


def _shell(product: Product, script: str) -> str:
    done = product.manage("shell", "-v", "0", "-c", script)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _count(product: Product, status: str) -> int:
    found: int = product.query("SELECT COUNT(*) FROM executions_execution WHERE status = ?", status)[0][0]
    return found


def _won(product: Product) -> int:
    """Atoms that the large execution has so far."""
    found: int = product.query("SELECT MAX(atoms_succeeded) FROM executions_execution")[0][0]
    return found
