"""Both clients against real sockets: one suite, run for the blocking and for the asynchronous one."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from vertex_batch.errors import (
    AccessRefusedError,
    AmbiguousSubmitError,
    AnswerLostError,
    BadKeyError,
    FailedPreconditionError,
    NotFoundError,
    ProxyRateLimitError,
    ProxyUnreachableError,
    ResourceExhaustedError,
    RouteNotFoundError,
    ServiceUnavailableError,
    TransientError,
    UnexpectedAnswerError,
    UpstreamUnreachableError,
)
from vertex_batch.vertex.client import AsyncBatchClient, BatchClient, ProxyConfig, try_proxy
from vertex_batch.vertex.resource import CreateJobRequest, JobState

KEY = "sk-test-0123456789"
PLACE = ("demo-project", "us-central1")
BASE = "/vertex_ai/v1/projects/demo-project/locations/us-central1"
JOB = {
    "name": "projects/100000000001/locations/us-central1/batchPredictionJobs/17",
    "state": "JOB_STATE_RUNNING",
}
REQUEST = CreateJobRequest.model_validate(
    {
        "displayName": "nightly",
        "model": "publishers/google/models/gemini-2.5-flash",
        "inputConfig": {"gcsSource": {"uris": ["gs://in/a.jsonl"]}},
        "outputConfig": {"gcsDestination": {"outputUriPrefix": "gs://out/"}},
        "labels": {"team": "search"},
    }
)


def _all_of(page):
    """The jobs of a page, for tests of what both clients have in common: an unreadable job is an error."""
    for error in page.unreadable.values():
        raise error
    return page.jobs


class Blocking:
    """Either client, as plain calls."""

    def __init__(self, config: ProxyConfig) -> None:
        self.client = BatchClient(config)

    def __getattr__(self, name):
        return getattr(self.client, name)

    def list(self, *args, **more):
        return list(self.client.list(*args, **more))


class InALoop:
    def __init__(self, config: ProxyConfig) -> None:
        self.client = AsyncBatchClient(config)
        self.runner = asyncio.Runner()

    def __getattr__(self, name):
        return lambda *args, **more: self.runner.run(getattr(self.client, name)(*args, **more))

    def list(self, *args, **more):
        async def collect():
            return [job async for page in self.client.pages(*args, **more) for job in _all_of(page)]

        return self.runner.run(collect())

    def close(self):
        self.runner.run(self.client.close())
        self.runner.close()


def connecting(kind, proxy):
    opened = []

    def connect(url=None, **settings):
        settings = {"max_retry_wait_seconds": 0.01, "timeout_seconds": 5.0, **settings}
        opened.append(kind(ProxyConfig(url or proxy.url, KEY, **settings)))
        return opened[-1]

    yield connect
    for client in opened:
        client.close()


@pytest.fixture(params=[Blocking, InALoop], ids=["sync", "async"])
def connect(request, proxy):
    yield from connecting(request.param, proxy)


@pytest.fixture
def connect_blocking(proxy):
    yield from connecting(Blocking, proxy)


@pytest.fixture
def google_error(reply):
    def make(code, status, **headers):
        return reply.of({"error": {"code": code, "message": "no", "status": status}}, code, **headers)

    return make


def test_create_sends_the_job_with_the_key_and_reads_the_answer(connect_blocking, proxy, reply):
    proxy.reply(reply.of(JOB))
    job = connect_blocking().create(*PLACE, REQUEST)
    (call,) = proxy.calls
    assert (job.job_id, job.state) == ("17", JobState.RUNNING)
    assert (call.method, call.target) == ("POST", f"{BASE}/batchPredictionJobs")
    assert call.headers["authorization"] == f"Bearer {KEY}"
    assert call.headers["content-type"] == "application/json"
    assert call.headers["user-agent"].startswith("airflow-vertex-batch/")
    assert call.json == REQUEST.to_wire()


def test_each_other_verb_arrives_as_it_should(connect_blocking, proxy, reply):
    client = connect_blocking(route_prefix="v1")
    base = BASE.replace("/vertex_ai", "")
    proxy.reply(reply.of(JOB))
    assert client.get(*PLACE, "17").job_id == "17"
    proxy.reply(reply.of({}))
    assert client.cancel(*PLACE, "17") is None
    proxy.reply(reply.of({"data": [{"model_name": "gemini-2.5-flash"}]}))
    assert client.model_info() == [{"model_name": "gemini-2.5-flash"}]
    proxy.reply(reply.of({"gemini-2.5-flash": {}}))
    assert client.price_map() == {"gemini-2.5-flash": {}}
    assert [(call.method, call.target, call.body) for call in proxy.calls] == [
        ("GET", f"{base}/batchPredictionJobs/17", b""),
        ("POST", f"{base}/batchPredictionJobs/17:cancel", b"{}"),
        ("GET", "/model/info", b""),
        ("GET", "/public/litellm_model_cost_map", b""),
    ]


def test_a_proxy_below_a_path_is_reached_there(connect, proxy, reply):
    proxy.reply(reply.of(JOB))
    connect(f"{proxy.url}/gateway/llm/").get(*PLACE, "17")
    assert proxy.calls[0].path == f"/gateway/llm{BASE}/batchPredictionJobs/17"


def test_a_thousand_jobs_are_listed_over_their_pages(connect, proxy, reply):
    def page(call):
        first = int(call.params.get("pageToken", "t0==&+/ ")[1:-6])
        size = int(call.params["pageSize"])
        jobs = [{"name": f"{JOB['name']}{n:04}"} for n in range(first, min(first + size, 1000))]
        following = f"t{first + size}==&+/ " if first + size < 1000 else ""
        return reply.of({"batchPredictionJobs": jobs, "nextPageToken": following})

    proxy.route(page)
    client = connect()
    query = 'labels.team="a b&c=d" AND NOT state="JOB_STATE_FAILED" AND display_name:"é*"'
    start = time.monotonic()
    jobs = client.list(*PLACE, filter=query, page_size=100)
    assert time.monotonic() - start < 5
    assert [job.job_id for job in jobs] == [f"17{n:04}" for n in range(1000)]
    assert len(proxy.calls) == 10
    assert {call.params["filter"] for call in proxy.calls} == {query}


def test_an_empty_list_is_empty(connect):
    assert connect().list(*PLACE) == []


def test_a_page_without_jobs_does_not_end_the_list(connect, proxy, reply):
    proxy.reply(reply.of({"nextPageToken": "t"}), reply.of({"batchPredictionJobs": [JOB]}))
    assert len(connect().list(*PLACE)) == 1


def test_a_list_that_leads_in_a_circle_ends_with_an_error_and_is_not_taken_for_whole(connect, proxy, reply):
    proxy.reply(*(reply.of({"batchPredictionJobs": [JOB], "nextPageToken": token}) for token in "abab"))
    with pytest.raises(UnexpectedAnswerError, match="twice"):
        connect().list(*PLACE)
    assert len(proxy.calls) == 3


def test_a_page_that_fails_once_is_asked_again(connect, proxy, reply, google_error):
    proxy.reply(
        reply.of({"batchPredictionJobs": [JOB], "nextPageToken": "t"}),
        google_error(503, "UNAVAILABLE"),
        reply.of({"batchPredictionJobs": [JOB]}),
    )
    assert len(connect().list(*PLACE)) == 2
    assert [call.params.get("pageToken") for call in proxy.calls] == [None, "t", "t"]


def test_a_page_that_stays_broken_breaks_the_list(connect, proxy, reply):
    proxy.reply(reply.of({"batchPredictionJobs": [JOB], "nextPageToken": "t"}), reply(200, b"<html>"))
    with pytest.raises(UnexpectedAnswerError):
        connect(max_tries=2).list(*PLACE)
    assert len(proxy.calls) == 3


FAULTS = {
    "500 of the proxy": (
        500,
        b'{"error":{"message":"","type":"internal_server_error","code":"500"}}',
        "answer",
    ),
    "502 html": (502, b"<html>Bad gateway", "answer"),
    "429": (429, b'{"error":{"code":429,"message":"quota","status":"RESOURCE_EXHAUSTED"}}', "answer"),
    "200 broken": (200, b'{"name": "proj', "answer"),
    "200 no job": (200, b'{"displayName": "x"}', "answer"),
    "reset": (200, b"", "reset"),
    "truncated": (200, json.dumps(JOB).encode(), "truncate"),
    "bad gzip": (200, b"no gzip", "answer"),
}


REPEATED = [
    (verb, fault)
    for verb in ("get", "list", "cancel")
    for fault in FAULTS
    if verb == "get" or fault != "200 no job"
]


@pytest.mark.parametrize(("verb", "fault"), REPEATED)
def test_whatever_may_be_repeated_is(connect, proxy, reply, verb, fault):
    status, body, how = FAULTS[fault]
    headers = {"content-encoding": "gzip"} if fault == "bad gzip" else {}
    good = reply.of({"batchPredictionJobs": [JOB]} if verb == "list" else JOB)
    proxy.reply(reply(status, body, headers, how), reply(status, body, headers, how), good)
    getattr(connect(), verb)(*PLACE, *([] if verb == "list" else ["17"]))
    assert len(proxy.calls) == 3


@pytest.mark.parametrize("fault", FAULTS)
def test_a_create_is_sent_once_whatever_happens(connect_blocking, proxy, reply, fault):
    status, body, how = FAULTS[fault]
    headers = {"content-encoding": "gzip"} if fault == "bad gzip" else {}
    proxy.reply(reply(status, body, headers, how), reply.of(JOB))
    definite = fault == "429"
    with pytest.raises(ResourceExhaustedError if definite else AmbiguousSubmitError) as caught:
        connect_blocking().create(*PLACE, REQUEST)
    assert len(proxy.calls) == 1
    assert ("Nothing was submitted" in str(caught.value)) is definite
    assert KEY not in str(caught.value)


def test_a_create_that_times_out_is_ambiguous_and_sent_once(connect_blocking, proxy, reply):
    proxy.reply(reply(how="hang"))
    with pytest.raises(AmbiguousSubmitError, match="ReadTimeout") as caught:
        connect_blocking(timeout_seconds=0.2).create(*PLACE, REQUEST)
    assert isinstance(caught.value.__cause__, AnswerLostError)
    assert len(proxy.calls) == 1


def test_a_read_that_times_out_is_repeated_and_then_lost(connect, proxy, reply):
    proxy.reply(reply(how="hang"))
    with pytest.raises(AnswerLostError):
        connect(timeout_seconds=0.1, max_tries=2).get(*PLACE, "17")
    assert len(proxy.calls) == 2


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_a_create_that_finds_nobody_was_not_sent(connect_blocking):
    with pytest.raises(ProxyUnreachableError, match=r"refused|connection attempts failed") as caught:
        connect_blocking(f"http://127.0.0.1:{closed_port()}").create(*PLACE, REQUEST)
    assert "Nothing was submitted" in str(caught.value)


def test_a_host_without_an_address_is_unreachable(connect):
    with pytest.raises(ProxyUnreachableError, match=r"litellm\.invalid"):
        connect("http://litellm.invalid:4000", max_tries=1).get(*PLACE, "17")


def test_tls_towards_a_plain_port_is_unreachable(connect_blocking, proxy):
    with pytest.raises(ProxyUnreachableError, match=r"(?i)ssl|tls"):
        connect_blocking(proxy.url.replace("http:", "https:"), max_tries=1).create(*PLACE, REQUEST)


def test_a_kept_connection_that_was_closed_meanwhile_does_not_break_a_create(connect_blocking, proxy, reply):
    client = connect_blocking()
    proxy.reply(reply(200, json.dumps(JOB).encode(), {"connection": "close"}), reply.of(JOB))
    client.get(*PLACE, "17")
    assert client.create(*PLACE, REQUEST).job_id == "17"


def test_what_stays_broken_is_given_up_after_the_configured_tries(connect, proxy, google_error):
    proxy.reply(google_error(503, "UNAVAILABLE"))
    with pytest.raises(ServiceUnavailableError):
        connect(max_tries=3).get(*PLACE, "17")
    assert len(proxy.calls) == 3


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (404, {"code": 404, "message": "no", "status": "NOT_FOUND"}, NotFoundError),
        (404, {"message": "no", "type": "not_found_error", "code": "404"}, RouteNotFoundError),
        (400, {"code": 400, "message": "no", "status": "FAILED_PRECONDITION"}, FailedPreconditionError),
        (401, {"message": "no", "type": "expired_key", "code": "401"}, BadKeyError),
        (401, {"message": "no", "type": "auth_error", "code": "401"}, AccessRefusedError),
    ],
)
def test_what_no_retry_can_mend_is_asked_once(connect, proxy, reply, *, status, error, kind):
    proxy.reply(reply.of({"error": error}, status))
    with pytest.raises(kind):
        connect().cancel(*PLACE, "17")
    assert len(proxy.calls) == 1


def test_retry_after_is_honoured(connect, proxy, reply, google_error):
    proxy.reply(google_error(429, "RESOURCE_EXHAUSTED", retry_after="1"), reply.of(JOB))
    start = time.monotonic()
    connect(max_retry_wait_seconds=60.0).get(*PLACE, "17")
    assert 1.0 <= time.monotonic() - start < 3.0


def test_retry_after_is_bounded(connect, proxy, reply, google_error):
    proxy.reply(google_error(429, "RESOURCE_EXHAUSTED", retry_after="86400"), reply.of(JOB))
    start = time.monotonic()
    connect(max_retry_wait_seconds=0.1).get(*PLACE, "17")
    assert time.monotonic() - start < 2.0


def test_each_wait_for_a_limit_is_one_visible_line(connect, proxy, reply, caplog):
    words = "litellm.RateLimitError: Rate limit exceeded for api_key: 0a1b. Limit type: requests."
    limit = reply.of({"error": {"message": words, "type": "throttling_error", "code": "429"}}, 429)
    proxy.reply(limit, limit, reply.of(JOB))
    with caplog.at_level("INFO"):
        connect(max_retry_wait_seconds=0.2).get(*PLACE, "17")
    lines = [r.getMessage() for r in caplog.records if r.name.startswith("vertex_batch")]
    levels = [r.levelname for r in caplog.records if r.name.startswith("vertex_batch")]
    assert levels == ["WARNING", "WARNING"]
    assert lines[0].startswith(f"Waiting 0.2 s before get of {'/'.join(PLACE)}/17 is sent again (try 2):")
    assert "the proxy's rate limit for this key was reached" in lines[0]
    assert "Limit type: requests" in lines[0]
    assert KEY not in "".join(lines)


def test_the_pause_that_litellm_1_110_asks_for_is_kept(connect, proxy, reply):
    error = {"message": "Rate limit exceeded", "type": "throttling_error", "code": "429"}
    proxy.reply(reply.of({"error": error}, 429, retry_after="60"))
    with pytest.raises(ProxyRateLimitError) as caught:
        connect(max_tries=1).get(*PLACE, "17")
    assert caught.value.retry_after_seconds == 60
    assert "after 60 s" in str(caught.value)


def test_a_malicious_release_is_warned_of_once(connect, proxy, reply, caplog):
    proxy.reply(reply.of(JOB, x_litellm_version="1.107.0"))
    client = connect()
    for _ in range(3):
        client.get(*PLACE, "17")
    connect().get(*PLACE, "17")
    warnings = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "LiteLLM 1.107.0" in warnings[0]
    assert "replace every key" in warnings[0]


@pytest.mark.parametrize("path", ["/health/readiness", "/health/readiness/details"])
def test_a_malicious_release_that_only_readiness_names_is_warned_of_once(proxy, reply, caplog, path):
    ready = {"status": "healthy", "litellm_version": "1.82.7"}
    proxy.route(lambda call: reply.of(ready if call.path == path else {}))
    with BatchClient(ProxyConfig(proxy.url, KEY)) as client:
        for _ in range(2):
            try_proxy(client, *PLACE)
    [line] = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert "LiteLLM 1.82.7" in line


def test_a_proxy_that_does_not_say_its_version_is_probed_once_and_used(proxy, reply, caplog):
    proxy.route(lambda call: reply.of({}, 500 if "health" in call.path else 200))
    with BatchClient(ProxyConfig(proxy.url, KEY)) as client:
        try_proxy(client, *PLACE)
    assert len(proxy.calls) == 3
    assert not caplog.records


def test_the_version_of_an_ordinary_release_is_known_and_not_warned_of(connect, proxy, reply, caplog):
    proxy.reply(reply.of(JOB, x_litellm_version="1.106.2"))
    client = connect()
    client.get(*PLACE, "17")
    assert client.client.proxy_version == "1.106.2"
    assert not caplog.records


def test_a_redirect_is_not_followed_with_the_key(connect_blocking, proxy, reply):
    proxy.reply(reply(301, b"", {"location": f"{proxy.url}/elsewhere"}))
    with pytest.raises(RouteNotFoundError, match="elsewhere"):
        connect_blocking().create(*PLACE, REQUEST)
    assert len(proxy.calls) == 1


def test_an_upstream_that_repeats_the_key_does_not_get_it_into_the_error(connect, proxy, reply):
    proxy.reply(reply.of({"error": {"message": f"Got {KEY}", "type": "internal_server_error"}}, 500))
    with pytest.raises(UpstreamUnreachableError) as caught:
        connect(max_tries=1).get(*PLACE, "17")
    assert KEY not in str(caught.value)


def test_one_connection_serves_many_calls(connect, proxy, reply):
    opened = []
    accept = proxy._serve
    proxy._serve = lambda connection: (opened.append(1), accept(connection))
    proxy.reply(reply.of(JOB))
    client = connect()
    for _ in range(5):
        client.get(*PLACE, "17")
    assert len(opened) == 1


def test_concurrent_calls_of_one_client_keep_their_own_tries(proxy, reply):
    async def run():
        config = ProxyConfig(proxy.url, KEY, max_tries=3, max_retry_wait_seconds=0.01)
        async with AsyncBatchClient(config) as client:
            ids = [str(n) for n in range(30)]
            return await asyncio.gather(*(client.get(*PLACE, i) for i in ids), return_exceptions=True)

    lock, seen = threading.Lock(), dict[Any, Any]()

    def flaky(call):
        job_id = call.path.rsplit("/", 1)[1]
        with lock:
            seen[job_id] = seen.get(job_id, 0) + 1
        good = int(job_id) % 2 == 0 and seen[job_id] == 3
        return (
            reply.of({"name": f"projects/1/locations/l/batchPredictionJobs/{job_id}"}) if good else reply(500)
        )

    proxy.route(flaky)
    results = asyncio.run(run())
    assert set(seen.values()) == {3}
    assert [getattr(result, "job_id", None) for result in results[::2]] == [str(n) for n in range(0, 30, 2)]
    assert all(isinstance(result, TransientError) for result in results[1::2])


def test_threads_may_share_a_client(proxy, reply):
    proxy.route(lambda call: reply.of({"name": f"a/{call.path.rsplit('/', 1)[1]}"}))
    with BatchClient(ProxyConfig(proxy.url, KEY)) as client, ThreadPoolExecutor(4) as pool:
        jobs = list(pool.map(lambda n: client.get(*PLACE, str(n)).job_id, range(20)))
    assert jobs == [str(n) for n in range(20)]


def test_importing_the_client_imports_neither_airflow_nor_google_nor_pandas():
    import subprocess
    import sys

    heavy = ["airflow", "google.auth", "google.cloud.storage", "pandas", "sqlalchemy"]
    code = f"import sys, vertex_batch.vertex.client; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
