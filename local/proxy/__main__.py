"""``make proxy-db``: install what a proxy with a database needs."""

from __future__ import annotations

import sys

from local.stack.proxy_database import PARTS, PartsError, install


def main() -> int:
    """Install the parts that are missing."""
    try:
        install(lambda line: print(f"proxy-db: {line}", flush=True))
    except PartsError as error:
        print(f"proxy-db: {error}", file=sys.stderr)
        return 1
    print(f"proxy-db: ready in {PARTS}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
