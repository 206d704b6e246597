"""How fast the cost table is exported in the columns of FOCUS, from SQLite and PostgreSQL: ``make bench``.

    python tools/bench/focus_rate.py --rows 1000000

Each export is the command, in a process of its own. The run fails if the rows take longer than a minute in
proportion to a million, if the memory grows with their number, or if rows are missing.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from pages_rate import KINDS, REPOSITORY, fill

sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "plugins")]

SECONDS_OF_A_MILLION, MORE_MEGABYTES = 60, 20
_UNPRICED_OF = 100 * len(KINDS)  # the bench's bills have one line item of these without a price
_EXPORT = "import sys; from vertex_batch.cli import main; sys.exit(main(sys.argv[1:]))"


def main() -> int:
    """Fill, export, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    items = -(-rows * _UNPRICED_OF // (_UNPRICED_OF - 1) // _UNPRICED_OF) * _UNPRICED_OF
    wrong = False
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="focus-rate-")))
        from local.stack.postgres import start_postgres

        server = stack.enter_context(start_postgres(home / "postgres"))
        print(f"{'':12} {'rows':>10} {'wall s':>7} {'CPU s':>7} {'peak MB':>8} {'MB':>6}")
        for name, url in (
            ("SQLite", f"sqlite:///{home}/costs.db"),
            ("PostgreSQL", server.create_database("focus")),
        ):
            fill(url, items // len(KINDS))
            wrong |= measure(name, url, rows, home / "focus.csv")
    return int(wrong)


def measure(name: str, url: str, rows: int, path: Path) -> bool:
    """Export a tenth of the days and all of them; whether it was too slow, too large or not complete."""
    arguments = ["export", "--url", url, "--focus", "1.4", "--output", str(path)]
    few = _run([*arguments, "--since", "2026-11-01"])
    all_of_them = _run(arguments)
    with path.open("rb") as stream:
        written = sum(1 for _ in stream) - 1
    wall, cpu, peak = all_of_them
    megabytes = path.stat().st_size / 1e6
    print(f"{name:12} {written:10,} {wall:7.1f} {cpu:7.1f} {peak:8.0f} {megabytes:6.0f}")
    too_slow = wall > max(SECONDS_OF_A_MILLION * rows / 1_000_000, 5)
    too_large = peak > few[2] + MORE_MEGABYTES
    for missed, what in ((too_slow, "too slow"), (too_large, "too large"), (written < rows, "not complete")):
        if missed:
            print(f"  ! {what}")
    return too_slow or too_large or written < rows


def _run(arguments: list[str]) -> tuple[float, float, float]:
    """Wall and CPU seconds of the command, and its peak memory in MB."""
    began = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "plugins")}
    null = os.open(os.devnull, os.O_WRONLY)
    child = os.posix_spawn(
        sys.executable,
        [sys.executable, "-c", _EXPORT, *arguments],
        environment,
        file_actions=[(os.POSIX_SPAWN_DUP2, null, 2)],
    )
    _, status, used = os.wait4(child, 0)
    os.close(null)
    if status:
        raise SystemExit(f"the export ended with status {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
