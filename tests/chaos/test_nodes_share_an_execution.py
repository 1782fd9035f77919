"""Several nodes on one PostgreSQL, each through a network of its own, one of which breaks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.nodes import Trial, run_trial
from chaos.private_services import PrivatePostgres

pytestmark = [pytest.mark.slow(on="postgres"), pytest.mark.needs_initdb, pytest.mark.needs_postgres]


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivatePostgres]:
    folder = tmp_path_factory.mktemp("postgres")
    for above in (folder, *list(folder.parents)[:2]):
        above.chmod(above.stat().st_mode | 0o011)  # as root, PostgreSQL runs as another user
    server = PrivatePostgres(folder)
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
