"""The short form of ``make chaos CLUSTER=1``: workers die, stop, and lose the broker."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.stack import Stack
from tools.chaos import CLUSTER_POINTS, Arena, KillPoint
from tools.chaos.scene import SPEC, prepare
from vertex_batch.costs import CostTable, JobFilter

SHORT = (
    "worker killed before the POST takes effect",
    "worker stopped between intent and POST",
    "broker killed, empty afterwards",
)
SHARDS = "cluster_shards"
SHARDS_TEXT = """\
description: An input that is too large for one job, with answers that are delivered
model: gemini-3.8-flash
inputs: gs://demo-bucket/cluster_shards/{{ run_date }}.jsonl
output: gs://demo-bucket/cluster_shards_out/{{ run_id }}/
max_rows_per_job: 5
team: tests
retries: 2
retry_delay: 1s
poll_interval: 1s
results:
  to: gs://demo-bucket/cluster_shards_answers/{{ run_id }}.jsonl
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[Stack]:
    home = tmp_path_factory.mktemp("cluster")
    options = prepare(home, workers=2)
    (options.specs / f"{SHARDS}.yaml").write_text(SHARDS_TEXT)
    with Stack(options, print) as running:
        running.gcs.create_bucket("demo-bucket")
        yield running


def point(name: str) -> KillPoint:
    return next(point for point in CLUSTER_POINTS if point.name == name)


@pytest.mark.parametrize("name", SHORT)
def test_a_run_has_one_paid_job_and_one_bill_when(cluster, name):
    outcome = point(name).round(Arena(cluster, SPEC), "short_" + re.sub(r"\W+", "_", name), runs=1)
    assert outcome.clean, outcome.details
    assert not outcome.details


def test_the_tasks_of_a_run_share_no_disk(cluster):
    airflow, (first, second) = cluster.airflow, cluster.site.cluster.worker_roles
    cluster.site.cluster.take_tasks(second, wanted=False)
    airflow.wait_for_dag(SHARDS)
    airflow.unpause(SHARDS)
    date = airflow.trigger(SHARDS, dag_run_id="shards")["run_after"][:10]
    rows = [{"request": {"contents": [{"role": "user", "parts": [{"text": f"row {n}"}]}]}} for n in range(12)]
    content = "".join(f"{json.dumps(row)}\n" for row in rows).encode()
    cluster.gcs.put(f"gs://demo-bucket/{SHARDS}/{date}.jsonl", content)
    airflow.wait_for_task(SHARDS, "shards", "plan_inputs", ["success"])
    cluster.site.cluster.take_tasks(second, wanted=True)
    cluster.site.cluster.take_tasks(first, wanted=False)

    assert airflow.wait_for_run(SHARDS, "shards")["state"] == "success"

    cluster.site.cluster.take_tasks(first, wanted=True)
    ran_on = {task["task_id"]: task["hostname"] for task in airflow.task_instances(SHARDS, "shards")}
    assert (ran_on["plan_inputs"], ran_on["record_cost"], ran_on["deliver"]) == (first, second, second)
    jobs = CostTable(cluster.cost_table_url).jobs(JobFilter(dag_id=SHARDS, run_id="shards"))
    assert sorted(job.rows.ok for job in jobs) == [2, 5, 5]
    delivered = cluster.gcs.get("gs://demo-bucket/cluster_shards_answers/shards.jsonl")
    assert len(delivered.splitlines()) == len(rows)
    assert left_behind(cluster.options.home / first) == left_behind(cluster.options.home / second) == []


def left_behind(home: Path) -> list[str]:
    """What tasks have left on a machine: nothing but Airflow's own, and the pool's sockets."""
    own = ("airflow.cfg", "config", "tmp", "airflow-worker.pid", "logs")
    return [path.name for path in (*home.iterdir(), *(home / "tmp").iterdir()) if not _is_known(path, own)]


def _is_known(path: Path, own: tuple[str, ...]) -> bool:
    return path.name in own or path.name.startswith("pymp-")
