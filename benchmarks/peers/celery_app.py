"""What Celery's worker and the process that queues share. PEERS_BROKER: URL of Redis; PEERS_MODEL: of the model."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery

from benchmarks.atom_work import Done
from benchmarks.peers import blocking_work

app = Celery("peers", broker=os.environ["PEERS_BROKER"], backend=os.environ["PEERS_BROKER"])


@app.task(name="write_atom")
def write_atom(atom: dict[str, Any]) -> Done:
    return blocking_work.do(os.environ["PEERS_MODEL"], atom)
