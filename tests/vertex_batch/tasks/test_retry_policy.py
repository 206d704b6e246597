"""Which errors are retried, and when; and that Airflow asks our policy."""

from __future__ import annotations

import pickle
from datetime import timedelta

import pytest
from airflow.sdk import DAG, ExceptionRetryPolicy, RetryAction
from airflow.sdk.exceptions import AirflowException

from vertex_batch import errors
from vertex_batch.costs.errors import CostTableSetupError, CostTableUnavailableError
from vertex_batch.operators import (
    AggregateTokenUsageOperator,
    CancelBatchPredictionJobOperator,
    ReapBatchPredictionJobsOperator,
    SubmitBatchPredictionJobOperator,
)
from vertex_batch.sensors import BatchPredictionJobSensor
from vertex_batch.tasks.retry_policy import RETRY_POLICY, BatchRetryPolicy

TASKS = [
    lambda **more: SubmitBatchPredictionJobOperator(
        task_id="t", model="m", inputs="gs://b/i", output_uri="gs://b/o", **more
    ),
    lambda **more: BatchPredictionJobSensor(task_id="t", job={}, **more),
    lambda **more: CancelBatchPredictionJobOperator(task_id="t", submit_task_id="s", **more),
    lambda **more: AggregateTokenUsageOperator(task_id="t", submit_task_id="s", **more),
    lambda **more: ReapBatchPredictionJobsOperator(task_id="t", **more),
]


def decide(error: BaseException, context=None):
    return RETRY_POLICY.evaluate(error, 1, 3, context)


def of_the_api(name: str, **facts) -> errors.VertexBatchError:
    return getattr(errors, name)("get", "p/l/7", **facts)


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (of_the_api("InvalidArgumentError"), RetryAction.FAIL),
        (of_the_api("PermissionDeniedError"), RetryAction.FAIL),
        (of_the_api("NotFoundError"), RetryAction.FAIL),
        (of_the_api("BadKeyError"), RetryAction.FAIL),
        (of_the_api("KeyBudgetExceededError"), RetryAction.FAIL),
        (errors.ConfigurationError("it is wrong"), RetryAction.FAIL),
        (errors.StorageAccessError.__new__(errors.StorageAccessError), RetryAction.FAIL),
        (CostTableSetupError.__new__(CostTableSetupError), RetryAction.FAIL),
        (of_the_api("ProxyRateLimitError"), RetryAction.DEFAULT),
        (of_the_api("ServiceUnavailableError"), RetryAction.DEFAULT),
        (of_the_api("AmbiguousSubmitError"), RetryAction.DEFAULT),
        (errors.CancelNotConfirmedError("p/l/7", "CANCELLING", 600), RetryAction.DEFAULT),
        (CostTableUnavailableError.__new__(CostTableUnavailableError), RetryAction.DEFAULT),
        (AirflowException("a job that could not be read any more"), RetryAction.DEFAULT),
        (KeyError("no error of ours"), RetryAction.DEFAULT),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else value.value,
)
def test_what_no_retry_mends_fails_at_once_and_the_rest_is_retried(error, action):
    assert decide(error).action is action


@pytest.mark.parametrize(
    ("asked", "own", "waits"), [(90, 60, 90), (5, 60, 60), (0.5, 0, 0.5), (86400, 60, 3600)]
)
def test_a_retry_comes_no_sooner_than_the_server_asks(asked, own, waits):
    task = BatchPredictionJobSensor(task_id="wait", job={}, retry_delay=timedelta(seconds=own))
    decision = decide(of_the_api("ResourceExhaustedError", retry_after_seconds=asked), {"task": task})
    assert decision.action is RetryAction.RETRY
    assert decision.retry_delay == timedelta(seconds=waits)


def test_the_reason_names_the_error_and_holds_none_of_its_words():
    error = of_the_api("BadKeyError", message="the key sk-1234567890 is not known")
    assert decide(error).reason == "BadKeyError: retries fail the same way until a person fixes the cause"


@pytest.mark.parametrize("make", TASKS)
def test_every_task_of_ours_has_it_unless_it_is_told_another(make):
    another = ExceptionRetryPolicy(rules=[])
    assert make().retry_policy is RETRY_POLICY
    assert make(retry_policy=None).retry_policy is None
    assert make(retry_policy=another).retry_policy is another
    with DAG("d", schedule=None, default_args={"retry_policy": another}):
        assert make().retry_policy is another


def test_a_mapped_task_has_it_when_it_runs():
    with DAG("d", schedule=None):
        mapped = BatchPredictionJobSensor.partial(task_id="wait").expand(job=[{}, {}])
    assert mapped.unmap({"job": {}}).retry_policy is RETRY_POLICY


def test_a_dag_that_has_it_can_be_stored():
    assert isinstance(BatchRetryPolicy.deserialize(RETRY_POLICY.serialize()), BatchRetryPolicy)
    assert isinstance(pickle.loads(pickle.dumps(RETRY_POLICY)), BatchRetryPolicy)
