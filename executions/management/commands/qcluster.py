"""`manage.py qcluster`: a node. In place of django-q2's own command, whose cluster it runs and looks after."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from typing import Any

from executions.management.command import PlainCommand, Refused
from executions.management.database import ensure_schema
from executions.supervisor.node_process import NodeProcess
from executions.supervisor.only_one import AlreadyRunning
from executions.supervisor.sqlite_node import take_sqlite, uses_sqlite
from executions.supervisor.supervisor import StopSignals


class Command(PlainCommand):
    help = (
        "Work on executions until Ctrl-C or SIGTERM: then nothing new is begun, work in flight may take MGE_DRAIN_SECONDS and"
        " is given back after that. `manage.py worker` does the same and starts again what dies. Exit 2 when it cannot"
        " start, 5 when its guard was killed, 6 when its queue was stuck, 7 when it had to be killed at a stop."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--run-once", action="store_true", help="start the workers and stop them again")
        parser.add_argument("-n", "--name", help="name of the queue, when it is not the one of the settings")

    def perform(self, options: dict[str, Any]) -> int:
        if options["name"]:
            os.environ["Q_CLUSTER_NAME"] = options["name"]
        signals = StopSignals()
        ensure_schema()
        if uses_sqlite():
            try:
                # Kept until the last of our processes has ended: forks hold it, too.
                take_sqlite()
            except AlreadyRunning as other:
                raise Refused(str(other)) from other
        return NodeProcess(signals, self.stderr.write).run(once=options["run_once"])
