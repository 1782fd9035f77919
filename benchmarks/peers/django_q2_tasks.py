"""What the cluster's workers run. PEERS_MODEL: URL of the model."""

from __future__ import annotations

import os
from typing import Any

from benchmarks.atom_work import Done
from benchmarks.peers import blocking_work


def write_atom(atom: dict[str, Any]) -> Done:
    return blocking_work.do(os.environ["PEERS_MODEL"], atom)
