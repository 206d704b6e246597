"""The queries about deliveries, as SQLAlchemy Core expressions."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import sqlalchemy as sa  # noqa: TID253 - never imported by a DAG parse

from vertex_batch.costs.deliveries import Delivery
from vertex_batch.costs.schema import deliveries, jobs
from vertex_batch.vertex.labels import RETRY_LABEL, RETRY_OF_LABEL

_IS_RETRY: sa.ColumnElement[bool] = sa.literal_column(
    "replace(cost_jobs.labels, 'airflow_retry_', '') <> cost_jobs.labels"
)
"""Jobs that sent rows again. The index of these jobs has the same words."""


def read_deliveries(connection: sa.Connection, *conditions: sa.ColumnElement[bool]) -> list[Delivery]:
    """Read deliveries with the runs that replaced them, and those that they replaced."""
    later, earlier = deliveries.alias("later"), deliveries.alias("earlier")
    latest = [
        (name, sa.select(of.c.run_id).where(*which).order_by(of.c.delivered_at.desc()).limit(1))
        for name, of, which in (
            ("replaced_by", later, _replaces(later, deliveries)),
            ("replaces", earlier, [*_replaces(deliveries, earlier), earlier.c.run_id != deliveries.c.run_id]),
        )
    ]
    others = [sa.func.coalesce(run.scalar_subquery(), "").label(name) for name, run in latest]
    order = (deliveries.c[name] for name in ("dag_id", "run_id", "task_id", "map_index"))
    asked = sa.select(deliveries, *others).where(*conditions).order_by(*order)
    return [Delivery(**row) for row in connection.execute(asked).mappings()]


def read_current(
    connection: sa.Connection, addresses: Collection[tuple[str, str]]
) -> dict[tuple[str, str], Delivery]:
    """Read the delivery that is at each of some addresses now.

    :param addresses: each a DAG and the address of the answers.
    """
    of, address = deliveries.c, (deliveries.c.dag_id, deliveries.c.answers_uri)
    latest = (
        sa.select(*address, sa.func.max(of.delivered_at))
        .where(sa.tuple_(*address).in_(sorted(addresses)))
        .group_by(*address)
    )
    is_there = sa.tuple_(*address, of.delivered_at).in_(latest)
    found = read_deliveries(connection, is_there) if addresses else []
    return {(each.dag_id, each.answers_uri): each for each in found}


def read_retries(connection: sa.Connection, found: Iterable[Delivery]) -> dict[tuple[str, str], str]:
    """Read the earlier runs whose rows the runs of some deliveries have sent again, and so on from these.

    :return: the earlier run, by DAG and run.
    """
    retries = {(each.dag_id, each.run_id): each.retry_of for each in found if each.retry_of}
    known: set[tuple[str, str]] = set()
    while asked := {(dag_id, earlier) for (dag_id, _), earlier in retries.items()} - retries.keys() - known:
        known |= asked
        of = deliveries.c
        rows = sa.select(of.dag_id, of.run_id, of.retry_of).where(
            is_of_runs(deliveries, asked), of.retry_of != ""
        )
        retries |= {(row.dag_id, row.run_id): row.retry_of for row in connection.execute(rows)}
    return retries


def select_sent_again(dag_id: str, of: Collection[str]) -> sa.Select[Any]:
    """Select the jobs that sent rows of some submit tasks again, the oldest first.

    :param of: the keys of these tasks.
    """
    labels = sa.type_coerce(jobs.c.labels, sa.Text)
    sent_again = sa.or_(
        sa.false(), *(labels.contains(f'"{RETRY_OF_LABEL}": "{key}"', autoescape=True) for key in sorted(of))
    )
    return sa.select(jobs).where(jobs.c.dag_id == dag_id, _IS_RETRY, sent_again).order_by(jobs.c.create_time)


def select_ended_after(*conditions: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """Select the runs with jobs that sent rows again, with answers, and ended after a delivery."""
    same = (jobs.c[name] == deliveries.c[name] for name in ("dag_id", "run_id"))
    after = sa.exists().where(*same, deliveries.c.delivered_at < jobs.c.end_time)
    is_round = sa.type_coerce(jobs.c.labels, sa.Text).contains(f'"{RETRY_LABEL}"')
    return (
        sa.select(jobs.c.dag_id, jobs.c.run_id)
        .where(*conditions, jobs.c.rows_ok > 0, _IS_RETRY, is_round, after)
        .distinct()
    )


def is_of_runs(of: sa.FromClause, runs: Collection[tuple[str, str]]) -> sa.ColumnElement[bool]:
    """Whether a row is of one of some runs, each a DAG and a run."""
    return sa.tuple_(of.c.dag_id, of.c.run_id).in_(sorted(runs))


def _replaces(later: sa.FromClause, earlier: sa.FromClause) -> list[sa.ColumnElement[bool]]:
    """Whether a delivery has replaced the file of another one of the same DAG."""
    same = (later.c[name] == earlier.c[name] for name in ("dag_id", "answers_uri"))
    return [*same, later.c.delivered_at > earlier.c.delivered_at]
