"""`manage.py serve`: the whole site with one command. It starts the web server and the workers and keeps them up."""

from __future__ import annotations

import logging
import time
from argparse import ArgumentParser
from contextlib import ExitStack
from typing import Any

from django.conf import settings

from executions.engine.reconciler import reconcile
from executions.management.command import PlainCommand, Refused
from executions.management.database import ensure_schema
from executions.management.first_run import FirstRun, prepare_first_run
from executions.services.settings_of_execution import configure
from executions.supervisor.cluster import Cluster
from executions.supervisor.embedded_model import wait_for_its_end
from executions.supervisor.log_file import LogFile
from executions.supervisor.only_one import AlreadyRunning, OnlyOne, only_supervisor
from executions.supervisor.supervisor import Kept, Regularly, StopSignals, Supervisor
from executions.supervisor.terminal import own_ctrl_c, say, say_now
from executions.supervisor.web import Address, AddressTaken, Web
from executions.version import VERSION
from mge_site.env import unknown

NO_ISOLATION = (
    "generated code cannot be isolated on this machine, so no test is run; `make system-packages` installs bubblewrap,"
    " `manage.py doctor` says more"
)

WEB_FIRST_S = 5.0
"""How long the workers may be kept waiting for the web server: on a small machine they would delay the first page."""


class Command(PlainCommand):
    help = (
        "Serve the site: web server and workers, started again when they die, until Ctrl-C or SIGTERM. The first run"
        " makes the embedded database, a user, and an execution to look at. Exit 2 when it cannot start."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--host", default=settings.MGE_HOST, help="IPv4 address or name to listen on (MGE_HOST)"
        )
        parser.add_argument(
            "--port", type=int, default=settings.MGE_PORT, help="0 takes a free one (MGE_PORT)"
        )

    def perform(self, options: dict[str, Any]) -> None:
        began = time.monotonic()
        if not 0 <= options["port"] <= 65535:
            raise Refused("--port: must be from 0 to 65535")
        with ExitStack() as stack:
            signals = StopSignals()
            stack.enter_context(own_ctrl_c())
            try:
                address = Address(options["host"], options["port"])
                stack.callback(address.close)
                ensure_schema()
                settings.MGE_DATA_DIR.mkdir(parents=True, exist_ok=True)
                only = only_supervisor(settings.MGE_DATA_DIR)
                stack.callback(only.release)
            except AddressTaken as taken:
                raise Refused(f"{taken}; choose another with --port or MGE_PORT") from taken
            except AlreadyRunning as other:
                raise Refused(str(other)) from other
            _Site(address, only, signals, began).serve()


class _Site:
    """From a free address to the last child's end."""

    def __init__(self, address: Address, only: OnlyOne, signals: StopSignals, began: float) -> None:
        self._address, self._signals, self._began = address, signals, began
        lend = (only.descriptor,)
        web_log, cluster_log = (LogFile(settings.MGE_DATA_DIR / name) for name in ("web.log", "cluster.log"))
        self._workers = Kept(
            "workers",
            lambda: Cluster(log_file=cluster_log, lend=lend),
            self._workers_ready,
            cluster_log,
            not_before=time.monotonic() + WEB_FIRST_S,
        )
        self._kept = (
            Kept("web", lambda: Web(address, log_file=web_log, lend=lend), self._web_ready, web_log),
            self._workers,
        )
        self._shown = False

    def serve(self) -> None:
        grace_s = settings.MGE_STOP_GRACE_SECONDS
        say(f"MGE Execution {VERSION}")
        _log_to(LogFile(settings.MGE_DATA_DIR / "supervisor.log"))
        with Supervisor(self._kept, signals=self._signals, say=say_now, grace_s=grace_s) as supervisor:
            supervisor.start()
            self._say_what_runs_where(prepare_first_run())
            with Regularly(
                _take_back, name="reconciler", every_s=settings.MGE_RECONCILE_SECONDS, say=say_now
            ):
                supervisor.run()
            say()
            say_now(f"stopping: work in flight may take up to {grace_s:g} s; Ctrl-C again stops at once")
        if self._signals.count < 2 and not wait_for_its_end(settings.MGE_DATA_DIR):
            say_now("the scripted model goes on: another command uses it")
        say_now("stopped")

    def _web_ready(self, _: str) -> None:
        if self._shown:
            say_now("web answers again")
            return
        self._shown = True
        self._workers.not_before = 0.0
        took = time.monotonic() - self._began
        url = f"{settings.MGE_PUBLIC_URL}/" if settings.MGE_PUBLIC_URL else self._address.url
        say(f"\nOpen {url}   (ready in {took:.1f} s; Ctrl-C stops everything)\n")

    def _workers_ready(self, isolation: str) -> None:
        if isolation == "none":
            say_now(f"workers ready, but {NO_ISOLATION}")
        else:
            say_now(f"workers ready; generated code runs {isolation}")

    def _say_what_runs_where(self, first: FirstRun | None) -> None:
        configuration = configure({})
        scripted = "scripted model: no key and no endpoint is set"
        rows = [("database", str(settings.DATABASES["default"]["NAME"]))]
        rows += [
            (one.name, f"{of_what}, log {one.log_file.path if one.log_file else '-'}")
            for one, of_what in zip(
                self._kept, (self._address.url, f"{settings.MGE_WORKERS} processes"), strict=True
            )
        ]
        rows.append(("model", scripted if configuration.endpoint == "embedded" else configuration.model))
        if first is not None:
            sample = first.sample
            rows += [
                (
                    "sample",
                    f"{sample.masterplan.name}, {sample.atoms_total} atoms" if sample else first.no_sample,
                ),
                ("login", f"{first.username}, password {first.password}  (shown this once)"),
            ]
        if self._address.open_to_all and not settings.MGE_PUBLIC_URL:
            rows.append(
                ("note", "other machines are refused until MGE_PUBLIC_URL names the address that they use")
            )
        rows += [("note", sentence) for sentence in unknown()]
        say("\n".join(f"  {name:<9} {said}" for name, said in rows))


def _take_back() -> None:
    taken = reconcile()
    if taken:
        say_now(f"{taken} atom{'s' if taken > 1 else ''} taken back from workers that died")


def _log_to(file: LogFile) -> None:
    """The terminal is for people: what our own process logs goes to a file, as that of the children does."""
    file.open().close()
    root = logging.getLogger()
    handler = logging.FileHandler(file.path, encoding="utf-8")
    handler.setFormatter(root.handlers[0].formatter)
    root.handlers[:] = [handler]
