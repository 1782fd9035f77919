"""Canaries: messages sent through a node's whole queue to see whether it still takes, runs and acknowledges them.

A node may look healthy and run nothing any more: django-q2's workers hang when one of them was killed while it waited for the
next message (django-q2#23), and nothing is acknowledged when its monitor was.
"""

from __future__ import annotations

import logging
import random
import time
import uuid
from dataclasses import dataclass
from functools import lru_cache

from django.conf import settings
from django.db import connection, transaction
from django_q.brokers import Broker, get_broker
from django_q.models import OrmQ

from executions.engine import dialect, doorbell
from executions.engine.node import this_message, this_node
from executions.models import Canary

log = logging.getLogger(__name__)

TASK = "executions.tasks.canary"
MOST_HOPS = 50
"""How often a canary may come to another node's worker: with two nodes one in 2 to the 50th gets lost, with ten one in 200."""
HOP_S = (0.02, 0.1)


@dataclass(frozen=True, slots=True)
class Sighting:
    """How far a canary has come."""

    ran: bool
    acknowledged: bool
    """Its message is gone from the queue; always so where the broker forgets a message that it hands out."""


def send(node: uuid.UUID) -> uuid.UUID:
    """Send a canary to a node; it must have been on record once."""
    canary = uuid.uuid4()
    with transaction.atomic():
        with connection.cursor() as cursor:
            now = dialect.now(cursor)
        Canary.objects.create(id=canary, node_id=node, sent_at=now)
        doorbell.send(TASK, str(node), str(canary), 0)
    return canary


def take(node: uuid.UUID, canary: uuid.UUID, hops: int) -> None:
    """In a worker: the canary is here. One of another node is sent on."""
    if node == this_node():
        with connection.cursor() as cursor:
            now = dialect.now(cursor)
        Canary.objects.filter(pk=canary, ran_at=None).update(ran_at=now, task_id=this_message())
    elif hops < MOST_HOPS and Canary.objects.filter(pk=canary).exists():
        # Not at once, or the node whose queue is the quickest would get it again and again.
        time.sleep(random.uniform(*HOP_S))  # noqa: S311
        doorbell.send(TASK, str(node), str(canary), hops + 1)


def sight(canary: uuid.UUID) -> Sighting:
    found = Canary.objects.filter(pk=canary).values_list("ran_at", "task_id").first()
    if found is None or found[0] is None:
        return Sighting(ran=False, acknowledged=False)
    waits = found[1].isdigit() and OrmQ.objects.filter(pk=int(found[1])).exists()
    return Sighting(ran=True, acknowledged=not waits)


def queue_answers() -> bool:
    """Whether a queue of its own, besides the database, can be reached."""
    if "orm" in settings.Q_CLUSTER:
        return True
    try:
        return bool(_broker().ping())
    except Exception as error:  # noqa: BLE001  whatever the broker's client raises: it does not answer
        log.warning("the queue does not answer: %s", type(error).__name__)
        return False


@lru_cache(maxsize=1)
def _broker() -> Broker:
    return get_broker()


def forget(canary: uuid.UUID) -> None:
    """It is of no more use; where it still hops, it ends."""
    Canary.objects.filter(pk=canary).delete()
