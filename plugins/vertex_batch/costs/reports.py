"""Unpriced usage with its reasons: plain data and the select for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import (  # noqa: TID253 - never imported by a DAG parse
    BigInteger,
    Select,
    func,
    literal_column,
    select,
)

from vertex_batch.costs.queries import conditions
from vertex_batch.costs.questions import JobFilter
from vertex_batch.costs.schema import jobs, line_items, same_job


@dataclass(frozen=True, slots=True)
class UnpricedUsage:
    """Usage of one model and kind whose cost is unknown, for one reason.

    :param tokens: tokens, or queries; 0 if even that is unknown.
    """

    model: str
    kind: str
    reason: str
    jobs: int
    tokens: int


def select_unpriced(where: JobFilter, limit: int) -> Select[Any]:
    """Select usage without a price, that of most jobs first. Jobs that are completely priced are skipped."""
    group = line_items.c.model, line_items.c.kind, line_items.c.reason
    return (
        select(*group, func.count().label("jobs"), func.sum(line_items.c.tokens, type_=BigInteger))
        .join_from(jobs, line_items, same_job(line_items, jobs))
        .where(
            literal_column("cost_jobs.unpriced_line_items > 0"),
            line_items.c.amount_picousd.is_(None),
            *conditions(where),
        )
        .group_by(*group)
        .order_by(func.count().desc(), *group)
        .limit(limit)
    )
