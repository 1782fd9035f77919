"""A node whose code was written for another schema claims nothing, and says why wherever one would look."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.plans import layers, plan, write_plan
from tests.product import Product, endpoint, wait_for
from tests.scripted import ScriptedServer

pytestmark = [pytest.mark.slow, pytest.mark.needs_sandbox]

NEWER = """
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
MigrationRecorder(connection).record_applied("executions", "0999_of_the_future")
"""
AS_BEFORE = NEWER.replace("record_applied", "record_unapplied")
START = """
from executions.models import Masterplan
from executions.services.start import start_execution
from executions.services.explain import why_waiting
print("why:", why_waiting(start_execution(masterplan=Masterplan.objects.get(), actor=None)))
"""
PROBLEM = "SELECT problem FROM executions_node WHERE stopped_at IS NULL AND problem <> ''"
RUNG = "SELECT rung_at FROM executions_execution"
READY = "import json; from executions.services.readiness import readiness; print(json.dumps(readiness()))"


def test_a_node_of_another_schema_version_claims_nothing_and_says_why(
    product: Product, scratch: Path
) -> None:
    file = write_plan(scratch, plan(*layers(2, 1)))
    with ScriptedServer("--answers", file) as server:
        product.environment.update(endpoint(server.url))
        assert product.manage("import_masterplan", file).returncode == 0
        assert product.manage("shell", "--no-imports", "-c", NEWER).returncode == 0

        output = product.folder / "node.txt"
        node = product.start("qcluster", output=output, MGE_WORKERS="1")
        wait_for(lambda: product.query(PROBLEM), "the node says why")
        started = product.manage("shell", "-c", START)

        assert "newer than this node's code (it has 0999_of_the_future)" in product.query(PROBLEM)[0][0]
        assert "why: no worker claims anything: on" in started.stdout, started.stderr
        assert "0999_of_the_future" in started.stdout
        ready = json.loads(product.manage("shell", "--no-imports", "-c", READY).stdout)
        assert "newer than this site's code" in ready["migrations"]
        assert "no worker claims anything" in ready["workers"]
        doctor = product.manage("doctor")
        assert doctor.returncode == 1
        assert doctor.stdout.count("0999_of_the_future") == 2
        assert product.query("SELECT status FROM executions_execution") == [("pending",)]
        # Longer than it takes until the version is looked at again, and than a doorbell is rung again.
        first = product.query(RUNG)
        wait_for(lambda: product.query(RUNG) != first, "somebody rings again", seconds=30)
        assert product.query("SELECT COUNT(*) FROM executions_call") == [(0,)]
        assert output.read_text(encoding="utf-8").count("claims nothing") == 1

        assert product.manage("shell", "--no-imports", "-c", AS_BEFORE).returncode == 0

        done = "SELECT status FROM executions_execution"
        wait_for(lambda: product.query(done) == [("completed",)], "it works again", seconds=60)
        assert server.stats()["calls"] == 3
        node.terminate()
        assert node.wait(timeout=30) == 0
