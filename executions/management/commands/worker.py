"""`manage.py worker`: one more node, without a web server. It is started again when it dies, and writes where we write."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from django.conf import settings

from executions.engine.reconciler import reconcile
from executions.management.command import PlainCommand, Refused
from executions.management.database import ensure_schema
from executions.supervisor.cluster import Cluster
from executions.supervisor.embedded_model import wait_for_its_end
from executions.supervisor.only_one import AlreadyRunning, only_supervisor
from executions.supervisor.sqlite_node import refuse_second, uses_sqlite
from executions.supervisor.supervisor import Kept, Regularly, StopSignals, Supervisor
from executions.supervisor.terminal import own_ctrl_c, say_now


class Command(PlainCommand):
    help = "Work on executions until Ctrl-C or SIGTERM. Any number of them may share a PostgreSQL database."

    def perform(self, options: dict[str, Any]) -> None:
        with ExitStack() as stack:
            signals = StopSignals()
            stack.enter_context(own_ctrl_c())
            ensure_schema()
            lend: tuple[int, ...] = ()
            if uses_sqlite():
                try:
                    only = only_supervisor(settings.MGE_DATA_DIR)
                    stack.callback(only.release)
                    refuse_second()
                except AlreadyRunning as other:
                    raise Refused(str(other)) from other
                lend = (only.descriptor,)
            workers = Kept(
                "workers",
                lambda: Cluster(own_output=True, lend=lend),
                lambda isolation: say_now(f"workers ready; isolation of generated code: {isolation}"),
            )
            grace_s = settings.MGE_STOP_GRACE_SECONDS
            with Supervisor((workers,), signals=signals, say=say_now, grace_s=grace_s) as supervisor:
                supervisor.start()
                every_s = settings.MGE_RECONCILE_SECONDS
                with Regularly(reconcile, name="reconciler", every_s=every_s, say=say_now):
                    supervisor.run()
                say_now(f"stopping: work in flight may take up to {grace_s:g} s")
            if signals.count < 2 and not wait_for_its_end(settings.MGE_DATA_DIR):
                say_now("the scripted model goes on: another command uses it")
            say_now("stopped")
