"""Connections that can be reset, which ASGI alone does not offer.

uvicorn builds one protocol object per connection. Ours notes its transport under the peer's address, so
that a response can find the connection it would be sent on, and kill it.
"""

from __future__ import annotations

import asyncio
import socket
import struct

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

_OPEN: dict[tuple[str, int], asyncio.BaseTransport] = {}


class ResettableProtocol(H11Protocol):
    """uvicorn's HTTP protocol, with its open connections on record."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # asyncio does this for sockets that it made itself. Without it, a request takes 40 ms.
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.client:
            _OPEN[self.client] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self.client:
            _OPEN.pop(self.client, None)
        super().connection_lost(exc)


class Dropped(Response):
    """No response: the TCP connection is reset."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        transport = _OPEN.get(tuple(scope["client"]))
        if transport is not None:  # else the client has hung up by itself
            reset(transport)
        while (await receive())["type"] != "http.disconnect":
            continue


def reset(transport: asyncio.BaseTransport) -> None:
    """End a connection with a TCP reset, so that no client takes it for an orderly close."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        # Lingering for zero seconds makes the kernel send RST instead of FIN.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert isinstance(transport, asyncio.Transport)
    transport.abort()
