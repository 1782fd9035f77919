"""`docs/asyncapi.yaml` says what the code does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema

from executions.engine.transaction import COUNTERS
from executions.live import frames, hub
from executions.live.consumers import FAR_BEHIND
from executions.live.sockets import Pace
from executions.states import EXECUTION_ENDED, Assurance, AtomStatus, ExecutionStatus, WaveStatus
from tests.live.socket_client import published

DOCUMENT = published()
SCHEMAS = DOCUMENT["components"]["schemas"]
CLIENT = Path(__file__).resolve().parents[2] / "static" / "executions" / "live"


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [one for item in value.values() for one in references(item)]
    if isinstance(value, list):
        return [one for item in value for one in references(item)]
    return []


def test_every_reference_leads_somewhere_and_every_schema_is_one() -> None:
    for reference in references(DOCUMENT):
        place: Any = DOCUMENT
        for name in reference.removeprefix("#/").split("/"):
            place = place[name]
    for schema in SCHEMAS.values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_every_frame_that_the_server_can_send_is_published_and_no_other() -> None:
    source = Path(frames.__file__).read_text(encoding="utf-8")
    sent = set(re.findall(r'"type": "(\w+)"', source))
    received = {
        one["payload"]["$ref"].rpartition("/")[2] for one in DOCUMENT["components"]["messages"].values()
    }
    assert {SCHEMAS[name]["properties"]["type"]["const"] for name in received} == sent | {"ack"}


def test_the_close_codes_are_the_ones_in_the_code() -> None:
    assert SCHEMAS["closeCode"]["enum"] == sorted(code.value for code in frames.CloseCode)
    for code in frames.CloseCode:
        assert str(code.value) in DOCUMENT["info"]["description"]


def test_the_limits_are_the_ones_in_the_code() -> None:
    text = " ".join(DOCUMENT["info"]["description"].split())
    pace = Pace()
    for phrase in (
        f"one frame in {pace.frame_every * 1000:.0f} ms",
        f"after {pace.heartbeat:.0f} quiet seconds",
        f"at most {pace.window} frames that it has not",
        f"at most {frames.MOST_BYTES:,} bytes",
        f"{pace.inbound_rate:.0f} a second ({pace.inbound_burst:.0f} at once)",
        f"{hub.SOCKETS_PER_USER} of a user, {hub.SOCKETS_PER_PROCESS:,} of a process",
    ):
        assert phrase in text
    query = DOCUMENT["channels"]["execution"]["bindings"]["ws"]["query"]
    assert f"{FAR_BEHIND:,} events" in query["properties"]["resync"]["description"]


def test_the_states_are_the_ones_in_the_code() -> None:
    assert SCHEMAS["execution"]["properties"]["status"]["enum"] == [state.value for state in ExecutionStatus]
    assert SCHEMAS["wave"]["properties"]["status"]["enum"] == [state.value for state in WaveStatus]
    assert SCHEMAS["atom"]["prefixItems"][2]["enum"] == [state.value for state in AtomStatus]
    assert SCHEMAS["atom"]["prefixItems"][4]["enum"] == ["", *(one.value for one in Assurance)]
    assert set(SCHEMAS["final"]["properties"]["status"]["enum"]) == {state.value for state in EXECUTION_ENDED}


def test_every_counter_of_the_ledger_is_published() -> None:
    hidden = {"reserved_nano_usd", "gates_due"}
    usd = {"cost_nano_usd": "cost_usd", "lost_nano_usd": "lost_usd"}
    assert {usd.get(name, name) for name in COUNTERS if name not in hidden} <= set(
        SCHEMAS["execution"]["properties"]
    )


def test_the_browsers_client_knows_every_frame() -> None:
    source = "\n".join(file.read_text(encoding="utf-8") for file in CLIENT.glob("*.js"))
    for schema in SCHEMAS.values():
        kind = schema.get("properties", {}).get("type", {}).get("const")
        if kind is not None:
            assert re.search(rf'"{kind}"', source), kind
