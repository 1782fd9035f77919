"""A site under `manage.py serve`, looked at from outside."""

from __future__ import annotations

import re
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from tests.product import Product, wait_for
from tests.supervisor.processes import alive, of_data_dir, parent_of


class Site:
    """One run of `serve` in an installation; `number` tells its output from that of other runs."""

    def __init__(self, product: Product, number: int = 1) -> None:
        self.product = product
        self.output = product.folder / f"serve-{number}.txt"
        self.process: subprocess.Popen[bytes] = product.start("serve", "--port", "0", output=self.output)

    def said(self) -> str:
        return self.output.read_text(encoding="utf-8")

    def said_in_time(self, pattern: str, *, seconds: float = 60) -> re.Match[str]:
        """What it says that matches, as soon as it does."""

        def found() -> re.Match[str] | None:
            if self.process.poll() is not None:
                raise AssertionError(f"serve has ended: {self.said()}")
            return re.search(pattern, self.said())

        match: re.Match[str] = wait_for(found, f"serve says {pattern!r}", seconds=seconds)
        return match

    def url(self) -> str:
        return self.said_in_time(r"Open (http://127\.0\.0\.1:\d+)/")[1]

    def get(self, path: str) -> int:
        """The status of a page, redirects followed."""
        try:
            with urllib.request.urlopen(self.url() + path, timeout=30) as answer:  # noqa: S310  loopback
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def processes(self) -> dict[int, str]:
        return of_data_dir(self.product.data_dir)

    def child(self, name: str) -> int:
        """The process id that the supervisor's own child of this kind has now; 0 while there is none."""
        words = {"web": "daphne", "workers": "qcluster"}[name]
        found = [
            pid
            for pid, command in self.processes().items()
            if words in command and parent_of(pid) == self.process.pid
        ]
        assert len(found) < 2, f"more than one: {found}"
        return found[0] if found else 0

    def guard(self) -> int:
        """The process between the workers and django-q2's outermost one."""
        outermost = self.child("workers")
        return next(pid for pid in self.processes() if parent_of(pid) == outermost)

    def clusters(self) -> set[int]:
        """The process groups that processes of django-q2 are in."""
        return {
            int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[2])
            for pid, command in self.processes().items()
            if "qcluster" in command and alive(pid)
        }

    def live_nodes(self) -> int:
        return int(self.product.query("SELECT COUNT(*) FROM executions_node WHERE stopped_at IS NULL")[0][0])

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Ask it to end; its exit status."""
        self.process.send_signal(number)
        return self.process.wait(timeout=60)
