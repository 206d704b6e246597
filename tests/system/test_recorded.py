"""Recorded jobs are counted and priced again by the operations DAGs, with the real processes."""

from __future__ import annotations

SPEC = "system_manual"


def run_dag(stack, dag_id: str, **conf) -> str:
    stack.airflow.unpause(dag_id)
    run = stack.airflow.trigger(dag_id, conf=conf)
    return stack.airflow.wait_for_run(dag_id, run["dag_run_id"])["state"]


def test_a_mended_output_reaches_the_bill_and_the_real_proxys_prices_change_nothing(stack, nights):
    nights.start(SPEC, "recorded")
    assert stack.airflow.wait_for_run(SPEC, "recorded")["state"] == "success"
    (before,) = nights.bills(SPEC, "recorded")
    (job,) = nights.jobs(SPEC, "recorded")
    path = f"{job.output_directory}/predictions.jsonl"
    whole = stack.gcs.get(path)

    stack.gcs.put(path, whole.splitlines(keepends=True)[0])
    assert run_dag(stack, "vertex_batch_recount", job_ids=[job.id], only_compare=False) == "success"
    (part,) = nights.bills(SPEC, "recorded")
    assert (part.rows.total, part.job.run_id) == (1, "recorded")
    stack.gcs.put(path, whole)
    assert run_dag(stack, "vertex_batch_recount", job_ids=[job.id], only_compare=False) == "success"
    (again,) = nights.bills(SPEC, "recorded")
    assert (again.rows, again.total) == (before.rows, before.total)

    assert run_dag(stack, "vertex_batch_reprice", spec=SPEC, only_compare=False) == "success"
    (after,) = nights.bills(SPEC, "recorded")
    assert (after.total, after.saved) == (before.total, before.saved)
    assert before.saved.complete
