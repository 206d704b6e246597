"""Puts the emulator together and serves it on its two ports."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from .connections import ResettableProtocol
from .control import Control
from .script import Settings
from .tunnel import Tunnel
from .wire import Wire
from .world import World

# Longer than any client keeps an idle connection: the emulator never closes first, unless a test asks for it.
_KEEP_ALIVE_SECONDS = 3600
_BACKLOG = 2048


@dataclass(frozen=True)
class Options:
    """What the command line says. Without a certificate there is no second port."""

    port: int
    storage_url: str
    project: str
    project_number: str
    settings: Settings
    host: str = "127.0.0.1"
    tls_port: int = 0
    certificate: Path | None = None
    key: Path | None = None
    static_token: str = ""


def application(world: World) -> Starlette:
    """The ASGI application over a world."""
    wire = Wire(world)
    return Starlette(
        routes=[*Control(world).routes(), *wire.routes()],
        exception_handlers={404: wire.not_found, 405: wire.not_found},
    )


class _Server(uvicorn.Server):
    """uvicorn's server, which leaves the signals to us."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


async def run(options: Options) -> None:
    """Serve until SIGTERM or SIGINT. Says where, as one line of JSON on stdout, once it is ready."""
    world = World(
        {options.project: options.project_number},
        options.storage_url,
        options.settings,
        options.static_token,
    )
    listener = _listen(options.host, options.port)
    port = listener.getsockname()[1]
    config = uvicorn.Config(
        application(world),
        http=ResettableProtocol,
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        proxy_headers=False,  # they would hide the address by which a connection is reset
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
    )
    serving = asyncio.create_task(_Server(config).serve([listener]))
    tls_port = None
    if options.certificate and options.key:
        tunnel = await Tunnel(options.certificate, options.key, port).serve(
            _listen(options.host, options.tls_port)
        )
        tls_port = tunnel.sockets[0].getsockname()[1]
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    print(json.dumps({"port": port, "tls_port": tls_port, "project": options.project}), flush=True)
    stop = asyncio.ensure_future(stopped.wait())
    await asyncio.wait({serving, stop}, return_when=asyncio.FIRST_COMPLETED)
    world.close()


def _listen(host: str, port: int) -> socket.socket:
    """Listen on one address; port 0 takes any free one."""
    try:
        return socket.create_server((host, port), backlog=_BACKLOG)
    except OSError as error:
        msg = f"{host}:{port}: {os.strerror(error.errno or 0)}"
        raise OSError(msg) from error
