"""The stack of the kill points: two specs, and Airflow's own time-outs in seconds instead of minutes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import sqlalchemy
from packaging.version import Version

from local.stack import Stack, StackOptions

SPEC = "chaos"
_SPEC_TEXT = """\
description: Runs whose processes are killed
model: gemini-3.8-flash
inputs: gs://demo-bucket/chaos/{{ run_date }}.jsonl
output: gs://demo-bucket/chaos_out/{{ run_date }}/
team: tests
max_active_runs: 16
retries: 5
retry_delay: 1s
poll_interval: 1s
"""
RETRY_SPEC = "chaos_retry"
_RETRY_TEXT = """\
description: Runs that send rows again, and whose processes are killed
model: gemini-3.5-flash
inputs: gs://demo-bucket/chaos_retry/{{ run_date }}.jsonl
output: gs://demo-bucket/chaos_retry_out/{{ run_id }}/
team: tests
max_active_runs: 16
retries: 8
retry_delay: 1s
poll_interval: 1s
resubmits: 0
results:
  to: gs://demo-bucket/chaos_retry_answers/{{ run_id }}.jsonl
retry_rows:
  rounds: 2
"""
_SETTINGS = {
    "AIRFLOW__VERTEX_BATCH__LOOK_SECONDS": "10",
    # What a crashed machine held is taken up within seconds instead of minutes.
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
}
_JOB_SPEED = 105.0  # a job takes two seconds
# What a cluster loses is found within seconds, too. A queued task may start within as many seconds.
QUEUED_SECONDS = 40
_CLUSTER_SETTINGS = {
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": str(QUEUED_SECONDS),
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "20",
}
# A clear raises `max_tries`, or restarts a task that runs.
_DISCARD = """
CREATE FUNCTION discard_task_state() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    DELETE FROM task_state_store WHERE (dag_id, run_id, task_id, map_index)
        = (NEW.dag_id, NEW.run_id, NEW.task_id, NEW.map_index);
    RETURN NULL;
END $$;
CREATE TRIGGER discard_task_state AFTER UPDATE OF max_tries, state ON task_instance
    FOR EACH ROW WHEN (NEW.max_tries > OLD.max_tries OR OLD.state = 'running' AND NEW.state = 'restarting')
    EXECUTE FUNCTION discard_task_state();
"""
_KEEP = "DROP TRIGGER discard_task_state ON task_instance; DROP FUNCTION discard_task_state"
_DISCARDS_ITSELF = Version("3.4.0b1")


@contextmanager
def discarding_state(stack: Stack) -> Iterator[None]:
    """Discard what a task has stored when it is cleared, as Airflow 3.4 does, until the end of the block."""
    if Version(version("apache-airflow-core")) >= _DISCARDS_ITSELF:
        yield
        return
    url = stack.site.environment()["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as database:
        database.execute(sqlalchemy.text(_DISCARD))
    try:
        yield
    finally:
        with engine.connect() as database:
            database.execute(sqlalchemy.text(_KEEP))


def prepare(home: Path, *, workers: int = 0) -> StackOptions:
    """Write the specs below `home`; return the options of a stack for rounds.

    :param workers: of a cluster; 0: tasks run in the scheduler's machine.
    """
    specs = home / "jobs"
    specs.mkdir()
    (specs / f"{SPEC}.yaml").write_text(_SPEC_TEXT)
    (specs / f"{RETRY_SPEC}.yaml").write_text(_RETRY_TEXT)
    return StackOptions(
        home=home,
        specs=specs,
        emulator_speed=_JOB_SPEED,
        airflow_settings=_SETTINGS | (_CLUSTER_SETTINGS if workers else {}),
        workers=workers,
        restarts=workers > 0,
    )
