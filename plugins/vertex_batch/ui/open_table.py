"""The cost table that the workers write, opened for reading."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated

from fastapi import Depends

from vertex_batch.costs import CostTable
from vertex_batch.hooks.cost_table import cost_table_url
from vertex_batch.vertex.names import JobId


class NoCostTableError(Exception):
    """Nothing was recorded yet, or elsewhere than where the API server looks."""


def cost_table() -> CostTable:
    """The table, found again for each request, so that a repaired connection works at once."""
    return _table(cost_table_url())


def _open_if_there(table: Annotated[CostTable, Depends(cost_table)]) -> Iterator[CostTable | None]:
    """Open it as it is now: the figures of a page agree. A page never creates or upgrades the table."""
    if not table.is_ready():
        yield None
        return
    with table.snapshot() as costs:
        yield costs


def _open(table: Annotated[CostTable | None, Depends(_open_if_there)]) -> CostTable:
    if table is None:
        raise NoCostTableError
    return table


@lru_cache(maxsize=4)
def _table(url: str) -> CostTable:
    return CostTable(url, keeps_connections=True)


def _named(project: str = "", location: str = "", job: str = "") -> JobId:
    return JobId(project, location, job)


Named = Annotated[JobId, Depends(_named)]
"""The job that an address names."""
Costs = Annotated[CostTable, Depends(_open)]
CostsIfAny = Annotated[CostTable | None, Depends(_open_if_there)]
