"""The real LiteLLM proxy with a database: virtual keys, their limits and budgets, and its spend logs."""

from __future__ import annotations

import base64
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy

from local.emulator.admin import Match, Scenario, Step
from local.stack import Stack, StackOptions
from local.stack.postgres import running
from local.stack.proxy_database import NAME, PROXY_DATABASE, missing_programs
from local.waiting import wait_until
from vertex_batch.errors import (
    AdminKeyRequiredError,
    ApiError,
    BadKeyError,
    FieldAddedError,
    KeyBudgetExceededError,
    ModelNotAllowedError,
    OwnerBlockedError,
    ProxyInternalError,
    ProxyRateLimitError,
    RouteNotAllowedError,
    TransientError,
)
from vertex_batch.vertex.client import BatchClient, ProxyConfig
from vertex_batch.vertex.resource import (
    CreateJobRequest,
    GcsDestination,
    GcsSource,
    InputConfig,
    OutputConfig,
)

pytestmark = pytest.mark.proxy_only
PROJECT, LOCATION = "demo-project", "us-central1"
MODELS = ["gemini-3.8-flash", "publishers/google/models/*"]
SPEC = """\
model: gemini-3.8-flash
inputs: gs://demo-bucket/virtual_key/{{ run_date }}.jsonl
output: gs://demo-bucket/virtual_key-out/{{ run_date }}/
project: demo-project
location: us-central1
poll_interval: 1s
"""
OTHER_ROWS = 10_500
RECONCILE = ("reconcile", "--since", "2026-11-01", "--json")


@dataclass(frozen=True)
class Admin:
    """What an admin of the proxy does."""

    stack: Stack
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=60, trust_env=False))

    def call(self, path: str, **body: Any) -> dict[str, Any]:
        answer = self.http.post(
            self.stack.proxy_url + path,
            json=body,
            headers={"Authorization": f"Bearer {self.stack.master_key}"},
        )
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def key(self, **options: Any) -> str:
        return str(self.call("/key/generate", **{"models": MODELS, **options})["key"])

    def key_of_user(self, role: str) -> str:
        return str(self.call("/user/new", user_role=role)["key"])

    def client(self, key: str, route_prefix: str = "/vertex_ai/v1", max_tries: int = 1) -> BatchClient:
        return BatchClient(
            ProxyConfig(
                self.stack.proxy_url,
                key,
                route_prefix=route_prefix,
                max_tries=max_tries,
                max_retry_wait_seconds=0.1,
            )
        )


@pytest.fixture(scope="module")
def admin(tmp_path_factory) -> Iterator[Admin]:
    if (missing := missing_programs()) and "CI" not in os.environ:
        pytest.skip(missing)
    options = StackOptions(
        home=tmp_path_factory.mktemp("proxy-database"),
        roles=frozenset({"object store", "emulator", "proxy"}),
        emulator_speed=100.0,
        proxy_database=True,
    )
    with Stack(options, print) as stack:
        stack.gcs.create_bucket("demo-bucket")
        admin = Admin(stack)
        with admin.http:
            yield admin


def a_request() -> CreateJobRequest:
    return CreateJobRequest(
        display_name="my-batch-job",
        model="publishers/google/models/gemini-3.8-flash",
        input_config=InputConfig(gcs_source=GcsSource(uris=["gs://demo-bucket/input.jsonl"])),
        output_config=OutputConfig(
            gcs_destination=GcsDestination(output_uri_prefix="gs://demo-bucket/output/")
        ),
    )


def create(client: BatchClient) -> Any:
    return client.create(PROJECT, LOCATION, a_request())


def listing(client: BatchClient) -> Any:
    return list(client.list(PROJECT, LOCATION, page_size=1))


def blocked_key(admin: Admin) -> str:
    key = admin.key()
    admin.call("/key/block", key=key)
    return key


def expired_key(admin: Admin) -> str:
    key = admin.key(duration="1s")

    def expired() -> bool:
        info = admin.http.get(f"{admin.stack.proxy_url}/key/info", headers={"Authorization": f"Bearer {key}"})
        return info.status_code == 401

    wait_until(expired, "the end of a key", 60)
    return key


def key_of_a_blocked_team(admin: Admin) -> str:
    team = admin.call("/team/new", models=["all-proxy-models"])["team_id"]
    admin.call("/team/block", team_id=team)  # a key that is in use is refused a minute later
    return admin.key(team_id=team)


Make = Callable[[Admin], str]
Try = Callable[[BatchClient], Any]
REFUSED: dict[str, tuple[Make, Try, type[ApiError], str]] = {
    "unknown": (lambda _: "sk-no-such-key-of-this-proxy", listing, BadKeyError, "valid virtual key"),
    "blocked": (blocked_key, listing, BadKeyError, "can be blocked"),
    "expired": (expired_key, listing, BadKeyError, "keys expire"),
    "blocked team": (key_of_a_blocked_team, listing, OwnerBlockedError, "unblock it"),
    "over budget": (
        lambda admin: admin.key(max_budget=1.0, spend=2.5),
        listing,
        KeyBudgetExceededError,
        "raise or reset the budget",
    ),
    "another route": (
        lambda admin: admin.key(allowed_routes=["/chat/completions"]),
        listing,
        RouteNotAllowedError,
        "allowed routes",
    ),
    "another model": (
        lambda admin: admin.key(models=["gemini-3.8-flash"]),
        create,
        ModelNotAllowedError,
        "publishers/google/models",
    ),
    "small tpm_limit": (
        lambda admin: admin.key(tpm_limit=1000),
        create,
        FieldAddedError,
        "has tpm_limit 1000",
    ),
    "no admin": (
        lambda admin: admin.key(),
        lambda client: list(client.spend_logs(datetime.now(UTC) - timedelta(days=1), datetime.now(UTC))),
        AdminKeyRequiredError,
        "`proxy_admin_viewer`",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_key_that_is_refused_ends_in_the_error_that_says_why(admin, name, record_property):
    make, attempt, expected, words = REFUSED[name]
    key = make(admin)
    with admin.client(key) as client, pytest.raises(ApiError) as caught:
        attempt(client)
    record_property(f"key: {name}", f"{caught.value.http_status} {caught.value.status}".strip())
    assert type(caught.value) is expected
    assert words in str(caught.value)
    assert key not in str(caught.value)
    assert not caught.value.may_have_submitted
    assert admin.stack.emulator.jobs() == []


def test_the_generic_route_needs_a_permission_of_its_own(admin):
    with admin.client(admin.key(), "/v1") as client, pytest.raises(RouteNotAllowedError):
        listing(client)
    allowed = admin.key(metadata={"allowed_passthrough_routes": ["/v1/projects"]})
    with admin.client(allowed, "/v1") as client:
        assert listing(client) == []


def test_each_wait_for_a_rate_limited_key_is_one_warning(admin, caplog, record_property):
    key = admin.key(rpm_limit=1)
    caplog.set_level(logging.DEBUG, "vertex_batch")
    with admin.client(key, max_tries=3) as client:
        listing(client)
        with pytest.raises(ProxyRateLimitError) as caught:
            listing(client)
    path = f"/vertex_ai/v1/projects/{PROJECT}/locations/{LOCATION}/batchPredictionJobs"
    raw = admin.http.get(admin.stack.proxy_url + path, headers={"Authorization": f"Bearer {key}"})
    retry_after = "with retry-after" if "retry-after" in raw.headers else "without retry-after"
    record_property("key: rpm_limit", f"{raw.status_code} {caught.value.status} {retry_after}")
    waits = [record for record in caplog.records if record.name.endswith(".clients")]
    assert [record.levelname for record in waits] == ["WARNING", "WARNING"]
    assert all("rate limit for this key" in record.getMessage() for record in waits)
    assert caught.value.retry_after_seconds is not None
    assert key not in caplog.text


def test_a_database_that_is_away_is_a_passing_fault_and_comes_back(admin):
    key = admin.key()
    with admin.client(key) as client:
        assert listing(client) == []
        with admin.stack.without(PROXY_DATABASE):
            fresh = admin.client("sk-not-in-the-proxys-memory")
            with fresh, pytest.raises(TransientError) as caught:
                listing(fresh)
            assert not isinstance(caught.value, BadKeyError)
            with admin.client(admin.stack.master_key) as master, pytest.raises(ProxyInternalError) as own:
                list(master.spend_logs(datetime.now(UTC) - timedelta(days=1), datetime.now(UTC)))
            assert "Google was not involved" in str(own.value)
        wait_until(lambda: _works(client), "the proxy's database", 60)


def _works(client: BatchClient) -> bool:
    try:
        return listing(client) == []
    except TransientError:
        return False


@dataclass(frozen=True)
class Command:
    """The command line, with a key in its environment alone."""

    admin: Admin
    home: Path

    def __call__(self, key: str, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "AIRFLOW_HOME": str(self.home / "airflow"),
            "LITELLM_PROXY_URL": self.admin.stack.proxy_url,
            "LITELLM_PROXY_API_KEY": key,
            "STORAGE_EMULATOR_HOST": self.admin.stack.storage_url,
            "VERTEX_BATCH_STATE": str(self.home / "state"),
        }
        command = [sys.executable, "-m", "vertex_batch.cli", *words, "--url", f"sqlite:///{self.home}/c.db"]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=240, check=False
        )
        assert key not in done.stdout + done.stderr
        return done


def test_a_job_of_a_virtual_key_is_billed_and_reconciled_with_real_spend_logs(admin, tmp_path):
    """More rows than LiteLLM counts, and keys that may see all of them, a part, or none."""
    command, key = Command(admin, tmp_path), admin.key()
    (tmp_path / "virtual_key.yaml").write_text(SPEC)
    row = {"request": {"contents": [{"role": "user", "parts": [{"text": "One"}]}]}}
    admin.stack.gcs.put("gs://demo-bucket/virtual_key/2026-11-20.jsonl", json.dumps(row).encode())
    admin.stack.emulator.add_scenario(Scenario(timeline=[Step(state="RUNNING", seconds=0.1)]))
    ran = command(key, "run", str(tmp_path / "virtual_key.yaml"), "--date", "2026-11-20", "--json")
    assert ran.returncode == 0, ran.stderr
    (billed,) = json.loads(ran.stdout)["jobs"]
    (job,) = admin.stack.emulator.jobs(Match(input_uri="gs://demo-bucket/virtual_key/2026-11-20.jsonl"))
    assert billed["job_id"] == job.id

    before = command(admin.stack.master_key, *RECONCILE)
    assert before.returncode == 0, before.stderr
    (mine,) = json.loads(before.stdout)["jobs"]
    assert (mine["theirs"], mine["differs"]) == (None, False)
    assert "litellm-vertex-files" in mine["why"][0]

    _log_costs(admin.stack, job.id, Decimal(billed["amount_usd"]))
    # It makes an ordinary user of the master key.
    admin.call("/team/new")
    viewer = admin.key_of_user("proxy_admin_viewer")
    for reader in (admin.stack.master_key, viewer):
        seen = command(reader, *RECONCILE)
        assert seen.returncode == 0, seen.stderr
        assert seen.stderr == ""
        found = json.loads(seen.stdout)
        (mine,) = found["jobs"]
        assert (mine["theirs"]["amount_usd"], mine["difference_usd"]) == (billed["amount_usd"], "0")
        assert len(found["unmatched"]) == OTHER_ROWS
        assert set(found["unmatched"].values()) == {"0.5"}

    partly = command(admin.key_of_user("internal_user"), *RECONCILE)
    assert partly.returncode == 1
    assert "the role `internal_user`" in partly.stderr
    refused = command(key, *RECONCILE)
    assert refused.returncode == 1
    assert "only to admins" in refused.stderr
    assert "`proxy_admin_viewer`" in refused.stderr
    assert partly.stdout + refused.stdout == ""


def _log_costs(stack: Stack, job_id: str, amount: Decimal) -> None:
    """Add rows to the spend logs as LiteLLM's check of batch costs writes them."""
    now = datetime.now(UTC)

    def row(job: str, spend: Decimal, at: datetime) -> dict[str, object]:
        plain = f"litellm_proxy;model_id:abc;llm_batch_id:{job}"
        request_id = base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=") + "_batch_cost"
        return {
            "request_id": request_id,
            "call_type": "aretrieve_batch",
            "spend": float(spend),
            "total_tokens": 1,
            "startTime": at.replace(tzinfo=None),
            "endTime": at.replace(tzinfo=None),
            "model": "gemini-3.8-flash",
        }

    rows = [row(f"9{n:06}", Decimal("0.5"), now - timedelta(seconds=n / 10)) for n in range(OTHER_ROWS)]
    rows.append(row(job_id, amount, now))
    names = list(rows[0])
    home, port = stack.options.home / "proxy-database", stack.port[PROXY_DATABASE]
    logs = sqlalchemy.table("LiteLLM_SpendLogs", *(sqlalchemy.column(name) for name in names))
    engine = sqlalchemy.create_engine(running(home, port).url(NAME), poolclass=sqlalchemy.NullPool)
    with engine.begin() as connection:
        connection.execute(logs.insert(), rows)
