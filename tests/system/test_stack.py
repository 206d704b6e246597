import signal
from contextlib import suppress

import psutil
import pytest

from local.leftovers import marked
from local.stack import StackError
from local.stack.airflow import API_SERVER, DAG_PROCESSOR, SCHEDULER, TRIGGERER
from vertex_batch.vertex.client import BatchClient, ProxyConfig

OPERATIONS = [
    "vertex_batch_cancel",
    "vertex_batch_digest",
    "vertex_batch_reap",
    "vertex_batch_recount",
    "vertex_batch_reprice",
]
ROLES = ["database", "object store", "emulator", "proxy", API_SERVER, SCHEDULER, DAG_PROCESSOR, TRIGGERER]


def test_every_process_runs(stack):
    assert all(stack.pid(role) for role in ROLES)


def test_nothing_listens_beyond_the_loopback_interface(stack):
    listening = set()
    for process in marked(stack.mark):
        with suppress(psutil.NoSuchProcess):  # a task that has ended meanwhile
            connections = process.net_connections("inet")
            listening |= {each.laddr.ip for each in connections if each.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}


@pytest.mark.parametrize("route_prefix", ["/vertex_ai/v1", "/v1"])
def test_the_real_proxy_lists_jobs_of_the_emulator_on_both_routes(stack, route_prefix):
    config = ProxyConfig(stack.proxy_url, stack.master_key, route_prefix=route_prefix)
    before = len(stack.emulator.requests("list"))
    with BatchClient(config) as client:
        list(client.list("demo-project", "us-central1"))
    assert len(stack.emulator.requests("list")) == before + 1


def test_a_killed_triggerer_is_ready_again_only_when_the_new_one_beats(stack):
    old = stack.pid(TRIGGERER)
    stack.kill(TRIGGERER)
    assert stack.pid(TRIGGERER) is None
    stack.restart(TRIGGERER)
    assert stack.pid(TRIGGERER) not in (None, old)


def test_a_scheduler_that_crashes_ends_the_wait_for_a_run_with_its_log(stack, nights):
    nights.start("system_hold", "crashed")
    # With its workers, as a service manager does: each has a copy of its connection to the database. While
    # one lives, a lock that the scheduler held on the pools stays, and no other scheduler queues a task.
    stack.signal(SCHEDULER, signal.SIGKILL)
    with pytest.raises(StackError, match=r"(?s)scheduler ended unexpectedly, with status -9.*scheduler\.log"):
        stack.airflow.wait_for_run("system_hold", "crashed", timeout_seconds=250)
    stack.restart(SCHEDULER)
    stack.airflow.set_run_state("system_hold", "crashed", "failed")


def test_airflow_reads_the_repositorys_dags_without_an_error(stack):
    for name in ("nightly_summaries", "nightly_embeddings", "nightly_text_embeddings", *OPERATIONS):
        stack.airflow.wait_for_dag(name)
    assert stack.airflow.import_errors() == []
