"""The proxy between a node and its database: it passes, stalls, cuts and restores."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator

import pytest

from chaos.tcp_proxy import TcpProxy


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(100):
            self.request.sendall(data)


class _EchoServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


@pytest.fixture
def proxy() -> Iterator[TcpProxy]:
    with _EchoServer(("127.0.0.1", 0), _Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with TcpProxy(server.server_address[1]) as found:
            yield found
        server.shutdown()


def _connect(proxy: TcpProxy, patience_s: float = 10) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=patience_s)


def _echo(one: socket.socket, text: bytes) -> bytes:
    one.sendall(text)
    return one.recv(100)


def _is_refused(proxy: TcpProxy) -> bool:
    try:
        with _connect(proxy) as one:
            return _echo(one, b"x") == b""
    except ConnectionError:
        return True


def test_it_passes_both_ways(proxy: TcpProxy) -> None:
    with _connect(proxy) as one, _connect(proxy) as other:
        assert _echo(one, b"first") == b"first"
        assert _echo(other, b"second") == b"second"


def test_what_is_sent_while_it_is_stalled_arrives_afterwards(proxy: TcpProxy) -> None:
    with _connect(proxy) as one:
        assert _echo(one, b"before") == b"before"
        proxy.stall()
        one.settimeout(0.3)
        with pytest.raises(TimeoutError):
            _echo(one, b"late")

        proxy.restore()

        one.settimeout(10)
        assert one.recv(100) == b"late"


def test_a_cut_resets_connections_and_refuses_new_ones_until_it_is_restored(proxy: TcpProxy) -> None:
    with _connect(proxy) as one:
        assert _echo(one, b"before") == b"before"

        proxy.cut()

        with pytest.raises(ConnectionResetError):
            one.recv(100)
        assert _is_refused(proxy)
        proxy.restore()
        with _connect(proxy) as again:
            assert _echo(again, b"after") == b"after"
