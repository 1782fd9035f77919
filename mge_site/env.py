"""Typed reader of the environment: every variable the product knows, where its value came from, what is wrong with it.

A variable's `_FILE` twin names a file that holds the value (for secrets mounted by an orchestrator). Nothing here knows
Django; settings read values from here, and `manage.py doctor` prints the same table.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

UNISOLATED_WORDS = "unisolated, I accept"
LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?", re.ASCII)


class BadSetting(Exception):
    """A variable has a value that cannot be used; the message names the variable, the value's fault and what is expected."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable."""

    name: str
    parse: Callable[[str], Any]
    default: Any
    description: str
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """The value of a variable and where it came from."""

    variable: Variable
    value: Any
    source: str
    error: str = ""


def whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        number = int(text)
        if not low <= number <= high:
            raise ValueError(f"must be from {low} to {high}")
        return number

    return parse


def real(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        number = float(text)
        if not low <= number <= high:
            raise ValueError(f"must be from {low:g} to {high:g}")
        return number

    return parse


def truth(text: str) -> bool:
    word = text.strip().lower()
    if word in {"1", "true", "yes", "on"}:
        return True
    if word in {"0", "false", "no", "off", ""}:
        return False
    raise ValueError("must be on or off")


def words(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def paths(text: str) -> tuple[Path, ...]:
    return tuple(Path(part) for part in text.split(os.pathsep) if part)


def choice(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError("must be one of: " + ", ".join(repr(a) for a in allowed))
        return text

    return parse


def url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    return text.rstrip("/")


def host(text: str) -> str:
    """An IPv4 address or a host's name (RFC 1123)."""
    if re.fullmatch(r"[0-9.]+", text):
        ipaddress.IPv4Address(text)
    elif len(text) > 253 or not all(LABEL.fullmatch(part) for part in text.split(".")):
        raise ValueError("must be an IPv4 address or the name of a host, without a port")
    return text


def redis_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme == "unix" and parts.path:
        return text
    database = parts.path.strip("/") or "0"
    if parts.scheme not in ("redis", "rediss") or not parts.hostname or not database.isdecimal():
        raise ValueError("must be redis://[user:password@]host[:port][/number] or unix://path")
    try:
        parts.port  # noqa: B018  read for its check
    except ValueError:
        raise ValueError("must have a number as its port") from None
    return text


def without_password(text: str) -> str:
    """An address as it may be shown: without the user and password that some carry."""
    return re.sub(r"//[^/@]*@", "//", text)


def site_url(text: str) -> str:
    parts = urlsplit(url(text))
    if not parts.hostname or parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("must be scheme and host, with a port where there is one, and nothing else")
    return f"{parts.scheme}://{parts.netloc}".lower()


VARIABLES: tuple[Variable, ...] = (
    Variable(
        "MGE_DATA_DIR",
        Path,
        None,
        "folder of the embedded database and of all files (default: var/ in the checkout)",
    ),
    Variable("MGE_DEBUG", truth, False, "Django's debug mode: never on a reachable site"),
    Variable(
        "MGE_SECRET_KEY", str, "", "signing key (default: made at first run, in the data folder)", secret=True
    ),
    Variable("SECRET_KEY", str, "", "the same under Django's usual name; MGE_SECRET_KEY wins", secret=True),
    Variable(
        "MGE_LOG_LEVEL", choice("DEBUG", "INFO", "WARNING", "ERROR"), "INFO", "how much the processes log"
    ),
    Variable("DATABASE_URL", str, "", "database (default: SQLite in the data folder)", secret=True),
    Variable(
        "REDIS_URL",
        redis_url,
        "",
        "Redis for the queue and the cache (default: the database is both)",
        secret=True,
    ),
    Variable(
        "ANTHROPIC_API_KEY",
        str,
        "",
        "key of the Messages endpoint; any will do for a local server",
        secret=True,
    ),
    Variable(
        "ANTHROPIC_BASE_URL", url, "", "address of a server that speaks /v1/messages (default: Anthropic's)"
    ),
    Variable(
        "MGE_MODEL",
        str,
        "",
        "model that executions use (default: claude-sonnet-5-5, or scripted-sonnet without an endpoint)",
    ),
    Variable("MGE_WORKERS", whole(1, 64), 3, "django-q2 worker processes of a cluster"),
    Variable(
        "MGE_MAX_CONCURRENCY",
        whole(1, 1000),
        100,
        "atoms in flight at once in one execution, unless it says otherwise",
    ),
    Variable(
        "MGE_MAX_IN_FLIGHT", whole(1, 10000), 400, "atoms in flight at once over all executions and nodes"
    ),
    Variable("MGE_RUNNER_CAPACITY", whole(1, 1000), 100, "atoms in flight at once in one runner process"),
    Variable(
        "MGE_SLICE_SECONDS",
        real(1, 3600),
        120.0,
        "how long a runner claims atoms before it hands over to the next",
    ),
    Variable("MGE_LEASE_SECONDS", real(1, 3600), 30.0, "how long a claim lives without a heartbeat"),
    Variable("MGE_DRAIN_SECONDS", real(0, 3600), 7.0, "how long a stopping node lets calls in flight end"),
    Variable("MGE_RECONCILE_SECONDS", real(0.2, 60), 3.0, "how often lost work is looked for"),
    Variable(
        "MGE_CANARY_SECONDS",
        real(0.5, 3600),
        10.0,
        "how long a message may need through an idle node; two in a row that need longer: its workers are replaced",
    ),
    Variable(
        "MGE_COMMIT_WINDOW_MS",
        real(0, 1000),
        150.0,
        "longest that a few changes wait for those of other atoms in flight, to be committed together: 1 to 10 % of what calls"
        " take, at least 5 ms; a third of it for what somebody waits for",
    ),
    Variable(
        "MGE_PREPARED_STATEMENTS",
        truth,
        True,
        "on PostgreSQL runners have the plans of their statements kept; off where a pooler between them cannot pass that on",
    ),
    Variable("MGE_CALL_TIMEOUT_SECONDS", real(0.1, 3600), 600.0, "longest wait for one answer of the model"),
    Variable(
        "MGE_PROVIDER_BACKOFF_SECONDS",
        real(0, 60),
        1.0,
        "first wait after a fault of the provider; doubles each time",
    ),
    Variable("MGE_PROVIDER_BACKOFF_MAX_SECONDS", real(0, 3600), 60.0, "longest such wait"),
    Variable(
        "MGE_PROVIDER_MAX_FAULTS",
        whole(1, 1000),
        8,
        "faults in a row after which an atom gives the provider up",
    ),
    Variable(
        "MGE_PROVIDER_WINDOW_SECONDS",
        real(1, 86400),
        600.0,
        "time after which an atom gives a failing provider up",
    ),
    Variable(
        "MGE_DEPENDENCY_BODIES",
        whole(0, 1000),
        3,
        "dependencies whose whole code a prompt shows; of the others the signature",
    ),
    Variable(
        "MGE_CACHE",
        truth,
        True,
        "accepted answers are kept, and taken again for what was asked before in the same words",
    ),
    Variable(
        "MGE_EXECUTION",
        choice("isolated", UNISOLATED_WORDS),
        "isolated",
        f"where generated code runs; '{UNISOLATED_WORDS}' runs it without any isolation",
    ),
    Variable(
        "MGE_SCRIPTED_ANSWERS", paths, (), "more plan files or folders that the embedded scripted model knows"
    ),
    Variable(
        "MGE_SCRIPTED_NEAR_MISS_SHARE",
        real(0, 1),
        0.4,
        "share of the atoms that the scripted model first gets wrong",
    ),
    Variable("MGE_SCRIPTED_SEED", whole(0, 2**31), 1, "which atoms those are"),
    Variable(
        "MGE_SCRIPTED_LATENCY",
        str,
        "lognormal:0.4,0.5",
        "seconds the scripted model thinks: a number or lognormal:median,sigma",
    ),
    Variable(
        "MGE_THROTTLE_WRITES",
        whole(1, 1_000_000),
        100,
        "writing requests of the REST interface that a user may make in a minute",
    ),
    Variable(
        "MGE_THROTTLE_READS",
        whole(1, 1_000_000),
        1000,
        "reading requests of the REST interface that a user may make in a minute",
    ),
    Variable("MGE_HOST", host, "127.0.0.1", "IPv4 address or name on which `serve` listens"),
    Variable("MGE_PORT", whole(0, 65535), 8000, "port on which `serve` listens; 0 takes a free one"),
    Variable(
        "MGE_PUBLIC_URL",
        site_url,
        "",
        "address that browsers use, when it is not this machine's own: https://mge.example.org",
    ),
    Variable(
        "MGE_STOP_GRACE_SECONDS",
        real(0, 3600),
        10.0,
        "how long calls in flight may take when the workers are told to stop",
    ),
    Variable(
        "MGE_METRICS_TOKEN",
        str,
        "",
        "bearer token for /metrics from other machines (default: none, so only this machine and staff)",
        secret=True,
    ),
    Variable("MGE_NODE_ID", uuid.UUID, None, "set by commands that start workers: the name of their node"),
    Variable(
        "MGE_REQUIRE", words, (), "test suite only: things whose absence is a failure instead of NOT RUN"
    ),
    Variable(
        "MGE_TEST_SLOW",
        choice("all", "split"),
        "all",
        "test suite only: split runs each slow test on one database",
    ),
    Variable(
        "MGE_TEST_EXAMPLES",
        whole(1, 100000),
        10,
        "test suite only: examples of the test of everything in any order",
    ),
    Variable(
        "MGE_TEST_ENGINE",
        choice("sqlite", "postgres"),
        "sqlite",
        "test suite only: database that the suite runs on",
    ),
    Variable(
        "MGE_TEST_DATABASE_URL",
        str,
        "",
        "test suite only: PostgreSQL server for the tests that need one",
        secret=True,
    ),
)


def read(variable: Variable, environ: Mapping[str, str] = os.environ) -> Reading:
    """Read one variable. A fault is kept in `error`, with the default as the value, so that all can be reported at once."""
    text, source = environ.get(variable.name), "environment"
    file_name = environ.get(variable.name + "_FILE")
    if text is not None and file_name is not None:
        return Reading(
            variable,
            variable.default,
            source,
            f"{variable.name} and {variable.name}_FILE are both set; keep one",
        )
    if file_name is not None:
        source = f"{variable.name}_FILE"
        try:
            text = Path(file_name).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8 text"
            return Reading(variable, variable.default, source, f"{source}: cannot read {file_name}: {reason}")
    if text is None or text == "":
        return Reading(variable, variable.default, "default")
    try:
        return Reading(variable, variable.parse(text), source)
    except ValueError as error:
        shown = "its value" if variable.secret else repr(without_password(text))
        return Reading(variable, variable.default, source, f"{variable.name}: {shown} {_fault(error)}")


def _fault(error: ValueError) -> str:
    text = str(error)
    return text if text.startswith("must") else f"is not usable: {text}"


def unknown(environ: Mapping[str, str] = os.environ) -> list[str]:
    """One sentence for each MGE_* variable that nothing reads, with the nearest known name."""
    known = {v.name for v in VARIABLES} | {v.name + "_FILE" for v in VARIABLES}
    sentences = []
    for name in sorted(environ):
        if name.startswith("MGE_") and name not in known:
            near = difflib.get_close_matches(name, known, 1)
            sentences.append(f"{name} is not a setting" + (f"; did you mean {near[0]}?" if near else ""))
    return sentences


class Environment:
    """All readings by name. `env["MGE_WORKERS"]` is the value; a faulty variable raises when it is asked for."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self.readings = {variable.name: read(variable, environ) for variable in VARIABLES}

    def __getitem__(self, name: str) -> Any:
        return self.readings[name].value

    def errors(self) -> list[str]:
        return [reading.error for reading in self.readings.values() if reading.error]
