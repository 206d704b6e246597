from __future__ import annotations

import asyncio
import json
import socket

import pytest
from airflow.sdk.exceptions import AirflowNotFoundException

from vertex_batch.errors import ConfigurationError
from vertex_batch.hooks import LiteLLMHook

KEY = "sk-test-0123456789"
JOB = {"name": "projects/1/locations/us-central1/batchPredictionJobs/17"}


@pytest.fixture
def connection(monkeypatch, proxy):
    def define(conn_id="litellm_default", extra=None, **fields):
        extra = {"project": "demo-project", "location": "us-central1"} if extra is None else extra
        fields = {"conn_type": "litellm", "host": proxy.url, "password": KEY, "extra": extra, **fields}
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))

    return define


def press_test(connection, **fields) -> tuple[bool, str]:
    connection(**fields)
    ok, message = LiteLLMHook().test_connection()
    assert KEY not in message
    return ok, message


def test_the_sync_and_the_async_way_read_the_same(connection):
    connection()
    hook = LiteLLMHook()
    assert asyncio.run(LiteLLMHook().aconfig()) == hook.config()
    assert (hook.default_project, hook.default_location) == ("demo-project", "us-central1")


def test_the_defaults_are_there_after_an_async_read_without_another_look(connection, monkeypatch):
    connection()
    hook = LiteLLMHook()
    asyncio.run(hook.aconfig())
    monkeypatch.delenv("AIRFLOW_CONN_LITELLM_DEFAULT")
    assert hook.default_project == "demo-project"


def test_both_clients_reach_the_proxy(connection, proxy, reply):
    connection("other")
    proxy.reply(reply.of(JOB))
    hook = LiteLLMHook("other")
    with hook.client() as client:
        assert client.get("demo-project", "us-central1", "17").job_id == "17"

    async def read():
        async with await hook.aclient() as client:
            return await client.get("demo-project", "us-central1", "17")

    assert asyncio.run(read()).job_id == "17"
    assert {call.headers["authorization"] for call in proxy.calls} == {f"Bearer {KEY}"}


def test_a_connection_that_is_not_defined_is_said_to_be(monkeypatch):
    with pytest.raises(AirflowNotFoundException):
        LiteLLMHook("nowhere").config()
    ok, message = LiteLLMHook("nowhere").test_connection()
    assert not ok
    assert "nowhere" in message


def test_a_connection_that_lacks_its_parts_says_all_of_them(connection):
    connection(host="", password="")
    with pytest.raises(ConfigurationError, match=r"host is missing.*key is missing"):
        LiteLLMHook().config()


def test_the_key_is_masked_in_logs(connection, monkeypatch):
    masked = list[str]()
    monkeypatch.setattr("vertex_batch.hooks.litellm.mask_secret", masked.append)
    connection()
    LiteLLMHook().config()
    assert masked == [KEY]


def test_ok_says_how_many_jobs_are_visible_and_asks_one_page(connection, proxy, reply):
    proxy.reply(reply.of({"batchPredictionJobs": [JOB, JOB]}))
    assert press_test(connection) == (True, "OK: 2 jobs visible in demo-project/us-central1.")
    proxy.reply(reply.of({"batchPredictionJobs": [JOB] * 100, "nextPageToken": "more"}))
    assert press_test(connection) == (True, "OK: 100 or more jobs visible in demo-project/us-central1.")
    proxy.reply(reply.of({}))
    assert press_test(connection) == (True, "OK: 0 jobs visible in demo-project/us-central1.")
    assert [call.path for call in proxy.calls if call.path.endswith("/batchPredictionJobs")] == [
        call.path for call in proxy.calls if "readiness" not in call.path
    ]
    assert sum("readiness" not in call.path for call in proxy.calls) == 3


@pytest.mark.parametrize("version", ["1.82.7", "1.82.8", "1.107.0"])
def test_a_malicious_release_fails_the_test_though_it_works(connection, proxy, reply, version):
    proxy.reply(reply.of({"batchPredictionJobs": [JOB]}, x_litellm_version=version))
    ok, message = press_test(connection)
    assert not ok
    assert f"reports LiteLLM {version}, a malicious release" in message
    assert "1 job visible" in message
    assert len(proxy.calls) == 1


def test_a_version_that_only_readiness_names_is_found(connection, proxy, reply):
    ready = {"status": "healthy", "litellm_version": "1.82.8"}
    proxy.route(lambda call: reply.of(ready if call.path == "/health/readiness" else {"data": []}))
    ok, message = press_test(connection, extra={})
    assert not ok
    assert "LiteLLM 1.82.8" in message


def test_extras_that_nobody_reads_are_named(connection, proxy):
    extra = {"project": "demo-project", "location": "us-central1", "routeprefix": "/v1"}
    assert "routeprefix" in press_test(connection, extra=extra)[1]


def test_without_a_default_project_the_key_is_tested_and_the_rest_is_said_not_to_be(connection, proxy, reply):
    proxy.reply(reply.of({"data": [{"model_name": "gemini-2.5-flash"}]}))
    ok, message = press_test(connection, extra={"location": "us-central1"})
    assert ok
    assert "accepts the key" in message
    assert "The route to Vertex AI was not tested" in message
    assert proxy.calls[0].path == "/model/info"


def test_without_a_default_project_a_key_that_may_not_read_models_is_a_known_key(connection, proxy, reply):
    proxy.reply(reply.of({"detail": "Virtual key is not allowed to call this route."}, 403))
    ok, message = press_test(connection, extra={})
    assert ok
    assert "was not tested" in message


def proxy_error(message: str, kind: str, code: int) -> dict:
    return {"error": {"message": message, "type": kind, "param": None, "code": str(code)}}


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (
            401,
            proxy_error(f"Invalid proxy server token. Key = {KEY}", "token_not_found_in_db", 401),
            "password field",
        ),
        (400, proxy_error("No connected db.", "no_db_connection", 400), "does not accept the key"),
        (
            401,
            proxy_error("Authentication Error, who knows", "auth_error", 401),
            "the key is not certain to be the cause",
        ),
        (
            401,
            proxy_error("Authentication Error, Team=a is blocked. Update ...", "auth_error", 401),
            "the key itself may be valid",
        ),
        (403, {"detail": "Virtual key is not allowed to call this route."}, "does not let it call the route"),
        (
            401,
            {"detail": "No Vertex AI credential is configured"},
            "no Vertex credential for demo-project/us-central1",
        ),
        (404, {"detail": "Not Found"}, "route_prefix"),
        (400, proxy_error("Budget has been exceeded!", "budget_exceeded", 400), "raise or reset the budget"),
        (429, proxy_error("Rate limit exceeded", "throttling_error", 429), "rate limit for this key"),
        (
            503,
            {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}},
            "temporarily unavailable",
        ),
        (
            403,
            {"error": {"code": 403, "message": "denied", "status": "PERMISSION_DENIED"}},
            "roles/aiplatform.user",
        ),
        (500, proxy_error("Cannot connect to host", "internal_server_error", 500), "no answer from Google"),
        (200, {"status": "ok"}, "the LiteLLM proxy is what answers"),
        (302, {}, "redirect to https://login.example"),
    ],
)
def test_each_refusal_is_explained(connection, proxy, reply, *, status, body, said):
    headers = {"location": "https://login.example"} if status == 302 else {}
    proxy.reply(reply.of(body, status, **headers))
    ok, message = press_test(connection)
    assert not ok
    assert said in message
    assert len(proxy.calls) == 1


def test_nobody_at_the_port_is_explained(connection):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    ok, message = press_test(connection, host=f"http://127.0.0.1:{port}")
    assert not ok
    assert message.startswith(f"Nothing answers at http://127.0.0.1:{port}")


def test_a_name_that_nobody_knows_is_explained(connection):
    ok, message = press_test(connection, host="http://no-such-proxy.invalid:4000")
    assert not ok
    assert message.startswith("Nothing answers at http://no-such-proxy.invalid:4000")


def test_a_proxy_that_is_silent_is_explained_within_the_time_that_the_form_allows(connection, proxy, reply):
    proxy.reply(reply(how="hang"))
    extra = {"project": "demo-project", "location": "us-central1", "timeout_seconds": 0.3}
    ok, message = press_test(connection, extra=extra)
    assert not ok
    assert "timed out" in message
    assert "`timeout_seconds`" in message


def test_an_authority_that_is_not_there_is_explained(connection):
    extra = {"project": "demo-project", "location": "us-central1", "verify": "/no/such/authority.pem"}
    ok, message = press_test(connection, extra=extra)
    assert not ok
    assert "/no/such/authority.pem" in message
    assert "PEM file" in message


def test_tls_towards_a_plain_port_is_explained(connection, proxy):
    ok, message = press_test(connection, host=proxy.url.replace("http:", "https:"))
    assert not ok
    assert "check whether the URL needs http or https" in message


def test_a_hostile_default_project_is_explained(connection):
    ok, message = press_test(connection, extra={"project": "123456789012", "location": "us-central1"})
    assert not ok
    assert "project number" in message


def test_what_nobody_foresaw_is_returned_and_not_raised(connection, monkeypatch):
    def broken(_settings):
        message = f"no idea about {KEY}"
        raise RuntimeError(message)

    monkeypatch.setattr("vertex_batch.hooks.litellm.diagnose", broken)
    assert press_test(connection) == (False, "RuntimeError: no idea about ***")
