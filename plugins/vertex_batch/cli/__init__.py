# PYTHON_ARGCOMPLETE_OK
"""The command line ``vertex-batch``. Commands import only what they need, so that ``validate`` is fast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vertex_batch.cli.main import main

if TYPE_CHECKING:
    from vertex_batch.cli.tables import jobs_table, render_bill, totals_table

__all__ = ["jobs_table", "main", "render_bill", "totals_table"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from vertex_batch.cli import tables  # noqa: PLC0415 - it brings rich along

        return getattr(tables, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
