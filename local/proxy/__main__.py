"""``make proxy-db``: install what a proxy with a database needs."""

from __future__ import annotations

import sys

from local.stack.proxy_database import PARTS, PartsError, install, missing_programs


def main() -> int:
    """Install the parts that are missing."""
    problem = missing_programs()
    try:
        if not problem:
            install(lambda line: print(f"proxy-db: {line}", flush=True))
    except PartsError as error:
        problem = str(error)
    if problem:
        print(f"proxy-db: {problem}", file=sys.stderr)
        return 1
    print(f"proxy-db: ready in {PARTS}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
