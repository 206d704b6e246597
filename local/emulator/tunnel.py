"""The second port: an HTTP CONNECT proxy that is its own destination.

A client with ``HTTPS_PROXY`` set asks it for ``us-central1-aiplatform.googleapis.com:443``; the tunnel ends
the TLS itself, with a certificate for ``*.googleapis.com``, and passes the plain bytes on to the emulator's
first port. Any other host is refused, so nothing can leave the machine through it.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from pathlib import Path

from .connections import reset

_CHUNK_BYTES = 1 << 16
_HEAD_SECONDS = 30.0
_ALLOWED = re.compile(r"(?:[a-z0-9-]+\.)+googleapis\.com")


class Tunnel:
    """Accepts CONNECT for Google's hosts and carries the bytes to the plain port."""

    def __init__(self, certificate: Path, key: Path, plain_port: int) -> None:
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._tls.load_cert_chain(certificate, key)
        self._plain_port = plain_port

    async def serve(self, listener: socket.socket) -> asyncio.Server:
        """Accept connections on a listening socket."""
        return await asyncio.start_server(self._accept, sock=listener)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if await self._connect(reader, writer):
                await self._carry(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            writer.transport.abort()
        finally:
            writer.close()  # without waiting: a peer that is gone never says good-bye

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Read the CONNECT request and answer it; True once TLS is established."""
        async with asyncio.timeout(_HEAD_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        method, _, rest = head.decode("latin-1").partition(" ")
        target = rest.partition(" ")[0]
        host, _, port = target.rpartition(":")
        if method != "CONNECT":
            return await self._refuse(writer, "405 Method Not Allowed", "This port is a CONNECT proxy.")
        if not _ALLOWED.fullmatch(host.lower()) or port != "443":
            return await self._refuse(writer, "403 Forbidden", f"{target} is not emulated.")
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await writer.drain()
        await writer.start_tls(self._tls)
        return True

    async def _refuse(self, writer: asyncio.StreamWriter, status: str, reason: str) -> bool:
        body = f"{reason}\n"
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
            f"Connection: close\r\n\r\n{body}".encode()
        )
        await writer.drain()
        return False

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        plain_reader, plain_writer = await asyncio.open_connection("127.0.0.1", self._plain_port)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, plain_writer))
                group.create_task(_pump(plain_reader, writer))
        except* OSError:
            # A reset on one side is a reset on the other: the client must see what the emulator did.
            reset(writer.transport)
            plain_writer.transport.abort()
        finally:
            plain_writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry bytes one way up to the end of the stream, and pass the end on."""
    while data := await reader.read(_CHUNK_BYTES):
        writer.write(data)
        await writer.drain()
    writer.close()
