"""The work for tools whose tasks are plain functions: one event loop in a thread, one client for the whole process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from functools import cache
from typing import Any

from benchmarks.atom_work import AtomWork, Done

_making = threading.Lock()


def do(url: str, atom: Mapping[str, Any]) -> Done:
    """Work on an atom; from any number of threads. `url`: of the model."""
    with _making:  # the first tasks of a pool come all at once
        work, loop = _work(url)
    return asyncio.run_coroutine_threadsafe(work.do(atom), loop).result()


@cache
def _work(url: str) -> tuple[AtomWork, asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="model calls", daemon=True).start()
    return AtomWork("peer", url), loop
