"""What a runner needs besides the database: model clients, the sandbox, validators. Made lazily, once per process or loop."""

from __future__ import annotations

import logging
import os
from functools import lru_cache
from urllib.parse import urlsplit

from django.conf import settings

from executions.generation.capabilities import Capabilities
from executions.generation.client import Endpoint, ModelClient
from executions.scripted_model.embedded import EmbeddedSettings, ensure_running
from executions.validation.pipeline import Validator
from executions.validation.sandbox.sandbox import Sandbox

log = logging.getLogger(__name__)

CAPABILITIES = Capabilities()
"""What endpoints were seen to refuse; kept for the life of the process."""


@lru_cache(maxsize=1)
def sandbox() -> Sandbox:
    """The strongest isolation that works here, found by trying."""
    return Sandbox.detect(data_dir=settings.MGE_DATA_DIR, allow_unisolated=settings.MGE_ALLOW_UNISOLATED)


def can_execute() -> bool:
    return sandbox().isolation.value != "none"


def embedded_settings() -> EmbeddedSettings:
    """How the embedded scripted model is started."""
    return EmbeddedSettings(
        data_dir=settings.MGE_DATA_DIR,
        answers=(settings.BASE_DIR / "examples", *settings.MGE_SCRIPTED_ANSWERS),
        near_miss_share=settings.MGE_SCRIPTED_NEAR_MISS_SHARE,
        seed=settings.MGE_SCRIPTED_SEED,
        latency=settings.MGE_SCRIPTED_LATENCY,
    )


def start_embedded_model() -> str:
    """Make sure that the embedded scripted model answers; returns its address. It ends with this process's parent."""
    return ensure_running(embedded_settings(), watch_pid=os.getppid())


def endpoint(name: str) -> Endpoint:
    """The endpoint that a configuration names."""
    if name == "embedded":
        return Endpoint(endpoint_name(name), start_embedded_model(), "scripted")
    return Endpoint(
        endpoint_name(name), settings.ANTHROPIC_BASE_URL or None, settings.ANTHROPIC_API_KEY or "any"
    )


def endpoint_name(name: str) -> str:
    """What an endpoint is called. It is stored with each call and shown, so it is the address without the user and password
    that some carry.
    """
    if name == "embedded":
        return "scripted model"
    parts = urlsplit(settings.ANTHROPIC_BASE_URL)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() or "anthropic"


class Clients:
    """Model clients of one event loop, by endpoint."""

    def __init__(self) -> None:
        self._clients: dict[str, ModelClient] = {}

    def prepare(self, name: str) -> None:
        """Make the client of an endpoint; blocks while the embedded model starts, so call it off the loop."""
        import anthropic  # noqa: F401  its first import takes a second or two: here it does not hold up the loop

        found = endpoint(name)
        current = self._clients.get(name)
        if current is None or current.endpoint != found:
            self._clients[name] = ModelClient(found, CAPABILITIES)

    def get(self, name: str) -> ModelClient:
        return self._clients[name]

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()


class Validators:
    """Validators by the set of checks they make; they share one sandbox."""

    def __init__(self) -> None:
        self._validators: dict[str, Validator] = {}

    def get(self, validators: str) -> Validator:
        found = self._validators.get(validators)
        if found is None:
            found = self._validators[validators] = Validator(sandbox(), validators=validators)
        return found
