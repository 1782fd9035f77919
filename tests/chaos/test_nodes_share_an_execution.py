"""Several nodes on one PostgreSQL, each through a network of its own, one of which breaks."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.nodes import Trial, run_trial
from chaos.private_services import PrivatePostgres

pytestmark = [pytest.mark.slow(on="postgres"), pytest.mark.needs_initdb, pytest.mark.needs_postgres]


@pytest.fixture(scope="module")
def postgres() -> Iterator[PrivatePostgres]:
    # Not in pytest's own folders, which are closed to others: as root, PostgreSQL runs as another user.
    with tempfile.TemporaryDirectory(prefix="mge-postgres-") as folder:
        Path(folder).chmod(0o711)
        server = PrivatePostgres(Path(folder))
        server.start()
        yield server
        server.stop(immediate=True)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("nodes", "cut"), [(2, "stall"), (4, "reset")])
def test_a_node_that_is_cut_off_loses_its_atoms_and_nothing_is_done_twice(
    scratch: Path, postgres: PrivatePostgres, nodes: int, cut: str
) -> None:
    trial = Trial(nodes, atoms=400, concurrency=40, cut=cut, latency_s=2.5, lease_s=4.0)

    outcome = run_trial(trial, folder=scratch, postgres=postgres)

    assert outcome.found.violations == []
    assert outcome.found.succeeded == 400
    assert outcome.most_in_flight == 40
    assert outcome.lost_by_cut > 0
    assert outcome.ended_meanwhile > 0
    assert outcome.accepted_late == 0
