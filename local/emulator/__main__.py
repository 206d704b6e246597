"""``python -m local.emulator``: serve the emulator in a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import sys
from pathlib import Path

from .script import Settings
from .server import Options, run


def parse_arguments(arguments: list[str] | None = None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m local.emulator", description=__doc__)
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; another one only in a container of its own"
    )
    parser.add_argument("--port", type=int, default=0, help="plain HTTP; 0 takes a free one")
    parser.add_argument("--tls-port", type=int, default=0, help="CONNECT proxy; 0 takes a free one")
    parser.add_argument(
        "--cert", type=Path, help="certificate for *.googleapis.com; without it no CONNECT proxy"
    )
    parser.add_argument("--key", type=Path, help="the certificate's private key")
    parser.add_argument("--storage-url", required=True, help="an object store with the GCS JSON API")
    parser.add_argument("--project", default="demo-project")
    parser.add_argument("--project-number", default="100000000001")
    parser.add_argument("--static-token", default="", help="a bearer token that is always good")
    parser.add_argument("--speed", type=float, default=1.0, help="what all durations are divided by")
    parser.add_argument(
        "--seed",
        type=int,
        default=secrets.randbits(31),
        help="of ids, row order and chances; by default another one at each start, as ids must not repeat",
    )
    given = parser.parse_args(arguments)
    if (given.cert is None) != (given.key is None):
        parser.error("--cert and --key go together")
    return Options(
        host=given.host,
        port=given.port,
        tls_port=given.tls_port,
        certificate=given.cert,
        key=given.key,
        storage_url=given.storage_url,
        project=given.project,
        project_number=given.project_number,
        static_token=given.static_token,
        settings=Settings(speed=given.speed, seed=given.seed),
    )


def main() -> None:
    """Serve until stopped."""
    options = parse_arguments()
    try:
        asyncio.run(run(options))
    except OSError as error:
        sys.exit(str(error))
    sys.stdout.flush()
    # A worker thread may be in the middle of a job's rows; they are not needed any longer.
    os._exit(0)


if __name__ == "__main__":
    main()
