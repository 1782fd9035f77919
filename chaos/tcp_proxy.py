"""A TCP proxy that can be cut, stalled and restored: the network between one node and its database."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from enum import StrEnum
from types import TracebackType
from typing import Self

CHUNK = 64 * 1024
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER with no time to linger: closing sends a reset."""


class Flow(StrEnum):
    """What the network does."""

    OPEN = "open"
    STALLED = "stalled"
    """Connections stay and new ones are taken, but nothing passes, in neither direction."""
    CUT = "cut"
    """Connections are reset, and new ones at once as well."""


class TcpProxy:
    """`with TcpProxy(target_port) as proxy:` listens at `proxy.port` of the loopback address, in a thread of its own."""

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self._target_port = target_port
        self._flow = Flow.OPEN
        self._writers: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._passing = asyncio.Event()
        self._passing.set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def stall(self) -> None:
        """Nothing passes until `restore`."""
        self._change(Flow.STALLED)

    def cut(self) -> None:
        """Reset all connections, and whoever comes until `restore`."""
        self._change(Flow.CUT)

    def restore(self) -> None:
        """What was held up arrives now."""
        self._change(Flow.OPEN)

    def _change(self, flow: Flow) -> None:
        async def apply() -> None:
            self._flow = flow
            if flow is Flow.STALLED:
                self._passing.clear()
                return
            if flow is Flow.CUT:
                for writer in list(self._writers):
                    _reset(writer)
            self._passing.set()

        asyncio.run_coroutine_threadsafe(apply(), self._loop).result()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        try:
            self._loop.run_forever()
        finally:
            server.close()
            for writer in list(self._writers):
                _reset(writer)
            for pump in self._pumps:
                pump.cancel()
            self._loop.run_until_complete(asyncio.gather(*self._pumps, return_exceptions=True))
            self._loop.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._flow is Flow.CUT:
            _reset(writer)
            return
        task = asyncio.current_task()
        if task is not None:
            self._pumps.add(task)
        self._writers.add(writer)
        far: asyncio.StreamWriter | None = None
        try:
            await self._passing.wait()
            far_reader, far = await asyncio.open_connection("127.0.0.1", self._target_port)
            self._writers.add(far)
            pumps = [
                asyncio.create_task(self._pump(reader, far)),
                asyncio.create_task(self._pump(far_reader, writer)),
            ]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
        except OSError:
            _reset(writer)  # the server is away: so it is for the client
        finally:
            for one in (writer, far):
                if one is not None:
                    self._writers.discard(one)
                    one.close()
            if task is not None:
                self._pumps.discard(task)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(CHUNK):
                await self._passing.wait()
                sink.write(data)
                await sink.drain()
            await self._passing.wait()  # nor does the news of an end pass


def _reset(writer: asyncio.StreamWriter) -> None:
    one = writer.get_extra_info("socket")
    if one is not None and one.fileno() >= 0:
        with contextlib.suppress(OSError):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
    writer.transport.abort()
