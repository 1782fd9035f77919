"""Nodes as processes: who is who in a django-q2 cluster, seen from outside."""

from __future__ import annotations

from pathlib import Path

from tests.product import Product, wait_for
from tests.supervisor.processes import alive, of_data_dir, parent_of


def children(pid: int, product: Product) -> set[int]:
    return {one for one in of_data_dir(product.data_dir) if parent_of(one) == pid}


def guard_of(outermost: int, product: Product) -> int:
    """django-q2's sentinel below a `qcluster` process."""
    found: set[int] = wait_for(lambda: children(outermost, product), "the cluster has a guard")
    return next(iter(found))


def workers(product: Product) -> set[int]:
    """The living workers of all nodes, by what they say of themselves."""
    rows = product.query("SELECT pid FROM executions_nodeworker")
    return {int(row[0]) for row in rows if alive(int(row[0]))}


def system_call(pid: int) -> str:
    """The number of the call in which the main thread waits; proc(5)."""
    return Path(f"/proc/{pid}/syscall").read_text(encoding="ascii").split()[0]


READ, LOCKED = "0", "202"
"""On x86-64: a read from a pipe; a wait for a lock."""


def next_worker(product: Product) -> int:
    """The idle worker that reads the queue, while the others wait for it; 0 when none does just now."""
    return next((pid for pid in workers(product) if system_call(pid) == READ), 0)


def monitor(guard: int, product: Product) -> int:
    """The process that acknowledges: of those that are no workers the one that reads a queue."""
    others = children(guard, product) - workers(product)
    return next((pid for pid in others if system_call(pid) == READ), 0)


def pusher(guard: int, product: Product) -> int:
    others = children(guard, product) - workers(product)
    return next((pid for pid in others if system_call(pid) != READ), 0)
