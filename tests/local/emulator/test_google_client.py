"""Google's own client against the emulator: plain HTTP on the first port, HTTPS through the second."""

import json
import logging

import pytest

from local.emulator.admin import Fault, FaultKind, Operation, Scenario, Step
from local.stack.certificates import make_service_account

PARENT = "projects/demo-project/locations/us-central1"
HELD = [Step(state="PENDING"), Step(state="RUNNING", seconds=None)]


@pytest.fixture(scope="session")
def job_service():
    """The client's module; importing it takes seconds, so once per session."""
    from google.cloud.aiplatform_v1.services import job_service

    logging.getLogger("google").setLevel(logging.ERROR)
    return job_service


@pytest.fixture(scope="session")
def types(job_service):
    from google.cloud.aiplatform_v1 import types

    return types


@pytest.fixture
def client(job_service, emulator, admin):
    """The REST client over plain HTTP with a token that is always good."""
    from google.cloud.aiplatform_v1.services.job_service.transports import JobServiceRestTransport
    from google.oauth2.credentials import Credentials

    transport = JobServiceRestTransport(
        host=f"127.0.0.1:{emulator.port}", url_scheme="http", credentials=Credentials(emulator.token)
    )
    with job_service.JobServiceClient(transport=transport) as client:
        yield client


@pytest.fixture
def secure_client(job_service, emulator, admin, tmp_path, monkeypatch):
    """The client as it is in production: regional HTTPS endpoint, service account, token exchange.

    By itself it would sign its own tokens instead of fetching them, which the emulator cannot check.
    """
    from google.auth.transport.requests import Request
    from google.oauth2.credentials import Credentials
    from google.oauth2.service_account import Credentials as ServiceAccount

    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{emulator.tls_port}")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(emulator.certificates.authority))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    key = make_service_account(
        tmp_path / "sa.json", project="demo-project", token_uri=f"{emulator.url}/token"
    )
    account = ServiceAccount.from_service_account_info(
        json.loads(key.read_text()), scopes=["https://www.googleapis.com/auth/cloud-platform"]
    )
    account.refresh(Request())
    with job_service.JobServiceClient(
        credentials=Credentials(account.token),
        transport="rest",
        client_options={"api_endpoint": "us-central1-aiplatform.googleapis.com"},
    ) as client:
        yield client


@pytest.fixture
def job(types, body):
    """A job for the client, from the body that our own calls use."""

    def build(**fields):
        return types.BatchPredictionJob.from_json(json.dumps(body(**fields)))

    return build


def test_a_job_is_created_read_and_finished(client, types, admin, job):
    created = client.create_batch_prediction_job(parent=PARENT, batch_prediction_job=job(labels={"a": "b"}))
    assert created.state == types.JobState.JOB_STATE_PENDING
    assert created.name.startswith("projects/100000000001/locations/us-central1/batchPredictionJobs/")
    assert created.create_time.microsecond
    admin.wait_for_jobs(state="SUCCEEDED")
    done = client.get_batch_prediction_job(name=created.name)
    assert done.state == types.JobState.JOB_STATE_SUCCEEDED
    assert (done.completion_stats.successful_count, done.completion_stats.failed_count) == (4, 0)
    assert done.output_info.gcs_output_directory.startswith("gs://output/")
    assert done.labels == {"a": "b"}
    assert done.end_time > done.start_time > done.create_time


def test_the_list_is_filtered_and_paged(client, types, admin, job):
    admin.add_scenario(Scenario(timeline=HELD))
    for number in range(5):
        client.create_batch_prediction_job(
            parent=PARENT,
            batch_prediction_job=job(rows=1, displayName=f"my_job_{number}", labels={"odd": str(number % 2)}),
        )
    request = types.ListBatchPredictionJobsRequest(
        parent=PARENT, filter='labels.odd=0 AND NOT display_name="my_job_2"', page_size=1
    )
    pages = list(client.list_batch_prediction_jobs(request=request).pages)
    names = [job.display_name for page in pages for job in page.batch_prediction_jobs]
    assert (names, len(pages)) == (["my_job_4", "my_job_0"], 2)
    assert len(admin.requests(Operation.LIST)) == 2


def test_a_running_job_is_cancelled(client, types, admin, job):
    from google.api_core.exceptions import BadRequest

    admin.add_scenario(Scenario(timeline=HELD))
    created = client.create_batch_prediction_job(parent=PARENT, batch_prediction_job=job())
    client.cancel_batch_prediction_job(name=created.name)
    admin.wait_for_jobs(state="CANCELLED")
    cancelled = client.get_batch_prediction_job(name=created.name)
    assert cancelled.state == types.JobState.JOB_STATE_CANCELLED
    assert (cancelled.error.code, cancelled.error.message) == (1, "CANCELED")
    with pytest.raises(BadRequest) as caught:
        client.cancel_batch_prediction_job(name=created.name)
    assert caught.value.response.json()["error"]["status"] == "FAILED_PRECONDITION"


def test_the_statistics_of_every_kind_are_read(client, admin, job):
    admin.add_scenario(Scenario(stats={"successfulCount": 2**40, "failedCount": 2, "incompleteCount": -1}))
    created = client.create_batch_prediction_job(parent=PARENT, batch_prediction_job=job())
    admin.wait_for_jobs(state="SUCCEEDED")
    stats = client.get_batch_prediction_job(name=created.name).completion_stats
    assert (stats.successful_count, stats.failed_count, stats.incomplete_count) == (2**40, 2, -1)


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "BadRequest"),
        (403, "Forbidden"),
        (404, "NotFound"),
        (429, "TooManyRequests"),
        (500, "InternalServerError"),
        (501, "MethodNotImplemented"),
        (503, "ServiceUnavailable"),
        (504, "GatewayTimeout"),
    ],
)
def test_an_error_becomes_the_exception_of_its_kind(client, admin, status, name):
    from google.api_core import exceptions

    admin.add_fault(Fault(op=Operation.GET, kind=FaultKind.STATUS, status=status, message="In words."))
    with pytest.raises(getattr(exceptions, name), match=r"In words\."):
        client.get_batch_prediction_job(name=f"{PARENT}/batchPredictionJobs/1")


def test_a_refusal_names_its_fields(client, types):
    from google.api_core.exceptions import BadRequest

    with pytest.raises(BadRequest) as caught:
        client.create_batch_prediction_job(parent=PARENT, batch_prediction_job=types.BatchPredictionJob())
    violations = caught.value.details[0]["fieldViolations"]
    assert {violation["field"] for violation in violations} == {
        "batch_prediction_job.display_name",
        "batch_prediction_job.model",
        "batch_prediction_job.input_config",
        "batch_prediction_job.output_config",
    }


def test_everything_works_over_https_with_a_service_account(secure_client, types, admin, job):
    from google.api_core.exceptions import NotFound
    from google.protobuf.empty_pb2 import Empty

    created = secure_client.create_batch_prediction_job(parent=PARENT, batch_prediction_job=job())
    admin.wait_for_jobs(state="SUCCEEDED")
    (listed,) = secure_client.list_batch_prediction_jobs(parent=PARENT)
    assert listed.name == created.name
    operation = secure_client.delete_batch_prediction_job(name=created.name)
    assert isinstance(operation.result(timeout=20), Empty)
    with pytest.raises(NotFound):
        secure_client.get_batch_prediction_job(name=created.name)
    hosts = {call.host for call in admin.requests() if call.op is not Operation.TOKEN}
    assert hosts == {"us-central1-aiplatform.googleapis.com"}
    assert admin.requests(Operation.TOKEN)


def test_a_job_of_another_region_is_refused_on_this_endpoint(secure_client, job):
    from google.api_core.exceptions import BadRequest

    with pytest.raises(BadRequest, match="does not match 'us-central1'"):
        secure_client.create_batch_prediction_job(
            parent=PARENT.replace("us-central1", "europe-west4"), batch_prediction_job=job()
        )


def test_a_reset_after_the_create_leaves_a_job_that_the_caller_does_not_know(client, admin, job):
    import requests

    admin.add_fault(Fault(op=Operation.CREATE, kind=FaultKind.RESET_AFTER))
    with pytest.raises(requests.exceptions.ConnectionError):
        client.create_batch_prediction_job(parent=PARENT, batch_prediction_job=job(labels={"lost": "yes"}))
    (found,) = client.list_batch_prediction_jobs(request={"parent": PARENT, "filter": "labels.lost=yes"})
    assert found.name.endswith(admin.jobs()[0].id)
