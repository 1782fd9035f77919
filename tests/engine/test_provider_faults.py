"""Faults of the provider are no attempts: they are waited out without a slot, or end the atom with reason `provider`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from executions.models import AtomRun, Attempt, Call, Event, Execution
from tests.plans import adder, layers, plan, wrong

pytestmark = [pytest.mark.needs_sandbox, pytest.mark.usefixtures("fast_provider")]
KINDS = "rate_limit_after,rate_limit,overloaded,server_error,disconnect,truncate"


def test_seeded_faults_change_no_attempt(
    scripted: Callable[..., Any], begin: Callable[..., Execution], finish: Callable[[Execution], Execution]
) -> None:
    atoms = layers(8, 6, 4)
    value = plan(*atoms)
    misses = [wrong(atom) for atom in atoms[::2]]
    server = scripted(
        value, misses, "--fault-share", "0.3", "--faults", KINDS, "--retry-after", "0.05", "--seed", "3"
    )

    execution = finish(begin(value))

    assert execution.atoms_succeeded == len(atoms)
    attempts = dict(AtomRun.objects.filter(execution=execution).values_list("key", "attempts"))
    assert attempts == server.script()["attempts"]
    faulted = Call.objects.filter(execution=execution).exclude(outcome="answered")
    assert faulted.count() >= 5
    assert not Attempt.objects.filter(execution=execution).exclude(status__in=["passed", "rejected"]).exists()


def test_a_provider_that_never_answers_ends_the_atom_without_an_attempt(
    scripted: Callable[..., Any], begin: Callable[..., Execution], finish: Callable[[Execution], Execution]
) -> None:
    value = plan(adder("a"), adder("b", depends_on=["a"]))
    scripted(value, [], "--fault-share", "1", "--faults", "overloaded")

    execution = finish(begin(value))

    atom = AtomRun.objects.get(execution=execution, key="a")
    assert (atom.status, atom.reason, atom.attempts) == ("failed", "provider", 0)
    assert "overloaded" in atom.error.lower()
    assert AtomRun.objects.get(execution=execution, key="b").status == "blocked"
    assert execution.attempts_total == 0
    assert Attempt.objects.get(atom_run=atom).status == "provider"
    assert Call.objects.filter(execution=execution, outcome="transport_error").count() == 8


def test_a_retry_after_is_waited_for_without_holding_a_slot(
    scripted: Callable[..., Any], begin: Callable[..., Execution], finish: Callable[[Execution], Execution]
) -> None:
    atoms = layers(6)
    value = plan(*atoms)
    scripted(
        value,
        [],
        "--fault-share",
        "0.5",
        "--faults",
        "rate_limit_after",
        "--retry-after",
        "0.4",
        "--seed",
        "5",
    )

    execution = finish(begin(value, max_concurrency=1))

    assert execution.atoms_succeeded == 6
    events = list(Event.objects.filter(execution=execution).order_by("seq"))
    waited = [event for event in events if event.type == "call.failed"]
    assert waited
    assert all(event.data["wait_s"] >= 0.4 for event in waited)
    # With one slot, another atom's attempt starting between the refusal and the repeat proves that the slot was free.
    first = waited[0]
    following = [
        event for event in events if event.seq > first.seq and event.type in ("atom.started", "attempt.ended")
    ]
    assert following[0].atom != first.atom


def test_a_refused_key_pauses_the_execution_instead_of_failing_atoms(
    settings: Any,
    begin: Callable[..., Execution],
    finish: Callable[[Execution], Execution],
    refusing_server: str,
) -> None:
    settings.ANTHROPIC_BASE_URL = refusing_server
    settings.MGE_MODEL = "scripted-test"

    execution = finish(begin(plan(*layers(3))))

    assert execution.status == "paused"
    assert "refuses" in execution.status_reason
    assert execution.atoms_unsuccessful == 0


@pytest.fixture
def refusing_server() -> Any:
    """A server that answers 401 to everything."""
    import threading
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            body = b'{"type":"error","error":{"type":"authentication_error","message":"invalid key"}}'
            self.send_response(401)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
