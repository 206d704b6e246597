"""Match output rows to input rows, in SQL: Python holds none of them.

For each attempt, rows of equal identity are paired by their number: the first input row without an answer
with the best output row, and so on. So each of several equal input rows gets an answer of its own, and an
input row that has its answer takes no further one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vertex_batch.results.types import ExtraKind, Reason

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

LEVELS = (1, 2, 3)

# A job that resumed another one copies the rows that were answered there, with their response ids. Any other
# job runs its rows, and is billed for them, whatever their ids are. A job that is still writing repeats rows
# in another part of its own output; there an id that one part has twice identifies none.
_COPIED = """
CREATE TABLE copied AS
WITH rows AS (
    SELECT id, attempt, job, part, response_a, response_b,
        coalesce(a1, a3, 0) AS a, coalesce(b1, b3, 0) AS b
    FROM output_rows WHERE response_a IS NOT NULL
), ids AS (
    SELECT response_a, response_b, a, b, attempt, job, part, count(*) AS n FROM rows GROUP BY ALL
), again AS (
    SELECT response_a, response_b FROM ids GROUP BY ALL HAVING count(*) > 1
), earlier AS (
    SELECT ids.* FROM ids SEMI JOIN again USING (response_a, response_b)
)
SELECT DISTINCT r.id FROM rows r JOIN earlier e USING (response_a, response_b, a, b)
WHERE (e.job < r.job AND r.job IN (SELECT job FROM resumed_jobs))
    OR (e.job = r.job AND e.part < r.part AND e.n = 1)
"""

_MATCH = """
INSERT INTO matches
WITH outputs AS (
    SELECT id, a{k} AS a, b{k} AS b,
        row_number() OVER (PARTITION BY a{k}, b{k} ORDER BY reason IS NOT NULL, id) AS n
    FROM output_rows ANTI JOIN copied USING (id) {left_outputs}
    WHERE attempt = $attempt AND a{k} IS NOT NULL
), inputs AS (
    SELECT seq, a{k} AS a, b{k} AS b, row_number() OVER (PARTITION BY a{k}, b{k} ORDER BY seq) AS n
    FROM input_digests ANTI JOIN answered USING (seq) {left_inputs}
    WHERE a{k} IS NOT NULL
)
SELECT seq, id, $attempt FROM outputs JOIN inputs USING (a, b, n)
"""
_LEFT = "ANTI JOIN (SELECT {name} FROM matches WHERE attempt = $attempt) USING ({name})"

# An answer of the earliest attempt that has one; otherwise what the latest attempt said, but not that it was
# busy if an earlier one has said what is wrong with the row.
_CHOSEN = f"""
CREATE TABLE chosen AS
SELECT seq,
    arg_min(id, CASE
        WHEN reason IS NULL THEN m.attempt
        WHEN reason = '{Reason.TRANSIENT}' THEN 2000000 - m.attempt
        ELSE 1000000 - m.attempt END) AS id,
    CASE WHEN sum(cost) > 0 OR bool_and(coalesce(cost_complete, false)) THEN sum(cost) END AS cost,
    bool_and(coalesce(cost_complete, false)) AS cost_complete
FROM matches m JOIN output_rows o USING (id) GROUP BY seq
"""  # noqa: S608 - our own names

_EXTRA = f"""
CREATE TABLE extra AS
WITH known AS (
    SELECT a1 AS a, b1 AS b FROM input_digests UNION SELECT a3, b3 FROM input_digests WHERE a3 IS NOT NULL
)
SELECT o.id, CASE
    WHEN known.a IS NOT NULL THEN '{ExtraKind.DUPLICATE}'
    WHEN o.reason = '{Reason.UNREADABLE}' THEN '{ExtraKind.UNREADABLE}'
    ELSE '{ExtraKind.UNKNOWN}' END AS kind
FROM output_rows o ANTI JOIN matches USING (id) ANTI JOIN copied USING (id)
LEFT JOIN known ON known.a = coalesce(o.a1, o.a3) AND known.b = coalesce(o.b1, o.b3)
"""  # noqa: S608 - our own names


def match(connection: DuckDBPyConnection, *, keys_are_shared: bool) -> None:
    """Match the rows of all attempts, and choose an output row for each input row.

    :param keys_are_shared: some rows have further digests, which are tried one after the other.
    """
    connection.execute(_COPIED)
    connection.execute(
        "UPDATE output_rows SET cost = 0, cost_complete = true WHERE id IN (SELECT id FROM copied)"
    )
    connection.execute("CREATE TABLE answered (seq BIGINT)")
    attempts = connection.execute("SELECT DISTINCT attempt FROM output_rows ORDER BY attempt").fetchall()
    for (attempt,) in attempts:
        for k in LEVELS if keys_are_shared else LEVELS[:1]:
            left = [_LEFT.format(name=name) if k > 1 else "" for name in ("id", "seq")]
            statement = _MATCH.format(k=k, left_outputs=left[0], left_inputs=left[1])
            connection.execute(statement, {"attempt": attempt})
        if len(attempts) > 1:
            connection.execute(
                "INSERT INTO answered SELECT seq FROM matches m JOIN output_rows o USING (id)"
                " WHERE m.attempt = ? AND o.reason IS NULL",
                [attempt],
            )
    connection.execute(_CHOSEN)
    connection.execute(_EXTRA)
