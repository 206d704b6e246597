"""Our client against the real LiteLLM proxy: both of its routes, all verbs, and its own refusals."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from local.emulator.admin import Fault, FaultKind, Operation, Scenario, Step
from vertex_batch.errors import (
    AmbiguousSubmitError,
    BadKeyError,
    NoCredentialError,
    ProxyInternalError,
    ResourceExhaustedError,
    RouteNotFoundError,
)
from vertex_batch.vertex.client import BatchClient, ProxyConfig, try_proxy
from vertex_batch.vertex.proxy_versions import release
from vertex_batch.vertex.resource import (
    CreateJobRequest,
    GcsDestination,
    GcsSource,
    InputConfig,
    JobState,
    OutputConfig,
)

PROJECT, LOCATION = "demo-project", "us-central1"


def a_request(**labels: str) -> CreateJobRequest:
    return CreateJobRequest(
        display_name="my-batch-job",
        model=f"projects/{PROJECT}/locations/{LOCATION}/publishers/google/models/gemini-3.8-flash",
        input_config=InputConfig(gcs_source=GcsSource(uris=["gs://demo-bucket/input.jsonl"])),
        output_config=OutputConfig(
            gcs_destination=GcsDestination(output_uri_prefix="gs://demo-bucket/output/")
        ),
        labels=labels,
    )


@pytest.fixture(params=["/vertex_ai/v1", "/v1"])
def config(stack, request) -> ProxyConfig:
    return ProxyConfig(
        stack.proxy_url, stack.master_key, route_prefix=request.param, max_retry_wait_seconds=0.1
    )


@pytest.fixture
def held(stack):
    stack.emulator.add_scenario(Scenario(timeline=[Step(state="PENDING", seconds=None)]))


@pytest.mark.proxy_only
@pytest.mark.usefixtures("held")
def test_every_verb_works(stack, config):
    mark = config.route_prefix.strip("/").replace("/", "_")
    with BatchClient(config) as client:
        job = client.create(PROJECT, LOCATION, a_request(environment="production", route=mark))
        assert client.get(PROJECT, LOCATION, job.job_id).state is JobState.PENDING
        query = f'labels.route="{mark}" AND display_name="my-batch-job"'
        assert [found.job_id for found in client.list(PROJECT, LOCATION, filter=query)] == [job.job_id]
        client.cancel(PROJECT, LOCATION, job.job_id)
        stack.emulator.wait_for_jobs(job_id=job.job_id, state="CANCELLED")


@pytest.mark.proxy_only
@pytest.mark.usefixtures("held")
def test_an_answer_that_is_lost_behind_the_proxy_is_ambiguous(stack, config):
    stack.emulator.add_fault(Fault(op=Operation.CREATE, kind=FaultKind.RESET_AFTER))
    with BatchClient(config) as client, pytest.raises(AmbiguousSubmitError):
        client.create(PROJECT, LOCATION, a_request())


@pytest.mark.proxy_only
def test_a_quota_of_google_comes_through(stack, config):
    stack.emulator.add_fault(
        Fault(op=Operation.CREATE, kind=FaultKind.STATUS, status=429, headers={"Retry-After": "7"})
    )
    with BatchClient(config) as client, pytest.raises(ResourceExhaustedError) as caught:
        client.create(PROJECT, LOCATION, a_request())
    assert caught.value.retry_after_seconds == 7


@pytest.mark.proxy_only
def test_a_bad_key_is_told_and_not_shown(config):
    with (
        BatchClient(replace(config, api_key="sk-wrong-key-of-somebody")) as client,
        pytest.raises(BadKeyError) as caught,
    ):
        client.get(PROJECT, LOCATION, "123")
    assert "sk-wrong" not in str(caught.value)


@pytest.mark.proxy_only
def test_a_project_without_a_credential_is_told(stack):
    config = ProxyConfig(stack.proxy_url, stack.master_key)
    with BatchClient(config) as client, pytest.raises(NoCredentialError):
        client.get("another-project", LOCATION, "123")


@pytest.mark.proxy_only
def test_a_wrong_route_prefix_is_told(stack):
    config = ProxyConfig(stack.proxy_url, stack.master_key, route_prefix="/vertex")
    with BatchClient(config) as client, pytest.raises(RouteNotFoundError, match="route_prefix"):
        client.get(PROJECT, LOCATION, "123")


@pytest.mark.proxy_only
def test_the_proxy_tells_an_admin_its_version_and_that_it_has_no_database(stack, config):
    with BatchClient(config) as client:
        try_proxy(client, PROJECT, LOCATION)
        assert release(client.proxy_version)
        assert client.readiness(details=True)["db"] == "Not connected"


@pytest.mark.proxy_only
def test_a_proxy_without_a_database_fails_at_its_own_tables_and_google_is_not_blamed(stack):
    config = ProxyConfig(stack.proxy_url, stack.master_key, max_tries=1)
    with BatchClient(config) as client, pytest.raises(ProxyInternalError, match="Google was not involved"):
        client.user_info()


@pytest.mark.proxy_only
def test_the_proxy_tells_the_prices_of_its_models(stack):
    with BatchClient(ProxyConfig(stack.proxy_url, stack.master_key)) as client:
        assert "gemini-3.8-flash" in {model["model_name"] for model in client.model_info()}
        assert "gemini-3.8-flash" in client.price_map()


def test_the_test_button_of_the_connection_form_works(stack):
    connection = {
        "connection_id": "tried_out",
        "conn_type": "litellm",
        "host": stack.proxy_url,
        "password": stack.master_key,
        "extra": f'{{"project": "{PROJECT}", "location": "{LOCATION}"}}',
    }
    good = stack.airflow.call("POST", "/connections/test", json=connection)
    assert good["status"] is True
    assert PROJECT in good["message"]
    bad = stack.airflow.call("POST", "/connections/test", json={**connection, "password": "sk-wrong-key"})
    assert bad["status"] is False
    assert "key" in bad["message"]
    assert "sk-wrong" not in bad["message"]


@pytest.mark.proxy_only
@pytest.mark.usefixtures("held")
def test_googles_own_client_works_through_the_proxy_with_the_litellm_key(stack):
    """On the route that LiteLLM's page documents, with the virtual key where a Google token would be."""
    from google.cloud.aiplatform_v1.services.job_service import JobServiceClient
    from google.cloud.aiplatform_v1.services.job_service.transports import JobServiceRestTransport
    from google.cloud.aiplatform_v1.types import BatchPredictionJob, JobState
    from google.oauth2.credentials import Credentials

    parent = f"projects/{PROJECT}/locations/{LOCATION}"
    transport = JobServiceRestTransport(
        host=stack.proxy_url.removeprefix("http://"),
        url_scheme="http",
        credentials=Credentials(stack.master_key),
    )
    with JobServiceClient(transport=transport) as client:
        wanted = BatchPredictionJob.from_json(json.dumps(a_request(client="google").to_wire()))
        job = client.create_batch_prediction_job(parent=parent, batch_prediction_job=wanted)
        name = f"{parent}/batchPredictionJobs/{job.name.rsplit('/', 1)[-1]}"
        assert client.get_batch_prediction_job(name=name).state == JobState.JOB_STATE_PENDING
        found = client.list_batch_prediction_jobs(
            request={"parent": parent, "filter": "labels.client=google", "page_size": 1}
        )
        assert [each.name for each in found] == [job.name]
        client.cancel_batch_prediction_job(name=name)
        stack.emulator.wait_for_jobs(job_id=name.rsplit("/", 1)[-1], state="CANCELLED")
