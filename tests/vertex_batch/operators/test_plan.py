"""The plan of a run's input, its jobs and their bill, with the emulated Vertex and a real object store."""

from __future__ import annotations

import gc
import gzip
import itertools
import json
import re
from contextlib import nullcontext
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from fsspec.implementations.memory import MemoryFileSystem

from local.emulator.admin import Scenario, Step
from vertex_batch.errors import PermanentError
from vertex_batch.hooks.storage import open_filesystem, open_storage
from vertex_batch.inputs import (
    MAX_SAMPLE_ROWS,
    InputPart,
    PartKind,
    StagingPlace,
    plan_of,
    plans,
    whole_shard,
)
from vertex_batch.operators import (
    AggregateTokenUsageOperator,
    PlanInputsOperator,
    SubmitBatchPredictionJobOperator,
)
from vertex_batch.operators.announce import AnnounceResultsOperator
from vertex_batch.preflight import Report, report_data
from vertex_batch.storage import ObjectStorage
from vertex_batch.tasks.context import NOTHING_SUBMITTED_XCOM, PART_XCOM
from vertex_batch.tasks.outcome import OUTCOME_XCOM

_FOLDERS = itertools.count()
HELD = Scenario(timeline=[Step(state="PENDING", seconds=None)])
AT_ONCE = Scenario(timeline=[Step(state="SUCCEEDED", seconds=0)])


def rows(count: int, first: int = 0) -> bytes:
    lines = (
        {
            "request": {
                "contents": [{"role": "user", "parts": [{"text": f"row {number} " * (1 + number % 3)}]}]
            }
        }
        for number in range(first, first + count)
    )
    return "".join(f"{json.dumps(line)}\n" for line in lines).encode()


@pytest.fixture
def vertex(connections):
    return connections


@pytest.fixture
def folder() -> str:
    """A folder of the test's own, since the object store outlives a test."""
    return f"gs://demo-bucket/plan{next(_FOLDERS)}"


@pytest.fixture
def night(context, folder, vertex):
    context["ti"].task_id = "plan_inputs"
    return Night(context, folder, vertex)


class Night:
    """One run of a spec, task by task."""

    def __init__(self, context: dict[str, Any], folder: str, vertex: Any) -> None:
        self.context, self.folder, self.vertex = context, folder, vertex
        self.stores: dict[tuple[str, int], Any] = {}

    def turn_to(self, task_id: str, index: int = -1) -> None:
        """Make the context that of another task."""
        ti, store = self.context["ti"], self.context["task_state_store"]
        self.stores.setdefault(("plan_inputs", -1), store)
        kept = self.stores.setdefault((task_id, index), type(store)())
        self.context["ti"] = replace(ti, task_id=task_id, map_index=index, xcoms=ti.xcoms)
        self.context["task_state_store"] = kept

    def plan(self, **changes: Any) -> list[dict[str, Any]]:
        self.turn_to("plan_inputs")
        with DAG("nightly", schedule=None):
            task = PlanInputsOperator(
                **{
                    "task_id": "plan_inputs",
                    "model": "gemini-3.8-flash",
                    "inputs": f"{self.folder}/in/*.jsonl",
                    "output_uri": f"{self.folder}/out/",
                    "submit_task_id": "submit",
                    **changes,
                }
            )
        task.render_template_fields(self.context)
        parts = task.execute(self.context)
        self.context["ti"].xcom_push("return_value", parts)
        return parts

    def part(self) -> dict[str, Any]:
        """Where the shards of a large plan are written."""
        return self.context["ti"].xcoms["plan_inputs", PART_XCOM]

    def submit(self, part: dict[str, Any] | None, index: int = 0, **changes: Any) -> dict[str, Any]:
        self.turn_to("submit", index)
        with DAG("nightly", schedule=None):
            task = SubmitBatchPredictionJobOperator(
                task_id="submit",
                model="gemini-3.8-flash",
                inputs=f"{self.folder}/in/*.jsonl",
                output_uri=f"{self.folder}/out/",
                display_name="nightly",
                part=part if part is not None else {},
                plan_task_id="plan_inputs",
                **changes,
            )
        task.render_template_fields(self.context)
        told = task.execute(self.context)
        self.context["ti"].xcom_push("return_value", told)
        return told

    def submit_all(self, parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [self.submit(part, index) for index, part in enumerate(parts)]

    def run_all(self, parts: list[dict[str, Any]]) -> None:
        """Submit the parts' jobs and wait for their ends."""
        self.submit_all(parts)
        self.vertex.admin.wait_for_jobs(state="SUCCEEDED", count=len(parts))

    def record(self, tmp_path, monkeypatch) -> dict[str, Any]:
        monkeypatch.setenv("AIRFLOW_CONN_BATCH_COSTS", f"sqlite:///{tmp_path}/costs.db")
        self.turn_to("record_cost")
        with DAG("nightly", schedule=None):
            task = AggregateTokenUsageOperator(
                task_id="record_cost",
                submit_task_id="submit",
                plan_task_id="plan_inputs",
                prices={"gemini-3.8-flash": {"input": 100, "output": 1000, "cached_input": 10}},
            )
        return task.execute(self.context)


def read(vertex, uri: str) -> bytes:
    return vertex.gcs.get(uri)


def lines_of(vertex, *parts: dict[str, Any]) -> list[bytes]:
    return [line for part in parts for uri in part["uris"] for line in read(vertex, uri).splitlines()]


def test_an_input_that_fits_is_named_as_the_spec_names_it(vertex, night):
    vertex.gcs.put(f"{night.folder}/in/a.jsonl", rows(3))

    (part,) = night.plan()
    assert (part["kind"], part["uris"]) == ("whole", [f"{night.folder}/in/*.jsonl"])


def test_the_request_of_an_input_that_fits_is_the_same_as_without_a_plan(vertex, night):
    vertex.gcs.put(f"{night.folder}/in/a.jsonl", rows(3))
    vertex.admin.add_scenario(HELD)
    night.submit_all(night.plan(max_rows=3))

    (job,) = vertex.admin.jobs()
    assert job.request["inputConfig"]["gcsSource"]["uris"] == [f"{night.folder}/in/*.jsonl"]
    assert job.request["displayName"] == "nightly"
    assert not {"airflow_shard", "airflow_sample"} & set(job.labels)


def test_a_folder_is_all_its_jsonl_files(vertex, night):
    vertex.gcs.put(f"{night.folder}/in/a.jsonl", rows(2))
    vertex.gcs.put(f"{night.folder}/in/b.jsonl", rows(2, 2))
    vertex.gcs.put(f"{night.folder}/in/readme.txt", b"no rows")

    shards = night.plan(inputs=f"{night.folder}/in/", max_rows=2)

    assert [shard["uris"] for shard in shards] == [
        [f"{night.folder}/in/a.jsonl"],
        [f"{night.folder}/in/b.jsonl"],
    ]


def test_what_is_too_large_is_split(vertex, night):
    content = rows(7)
    vertex.gcs.put(f"{night.folder}/in/a.jsonl", content)

    shards = night.plan(max_rows=3)

    assert [(shard["number"], shard["of"], shard["rows"]) for shard in shards] == [
        (1, 3, 3),
        (2, 3, 3),
        (3, 3, 1),
    ]
    assert lines_of(vertex, *shards) == content.splitlines()
    assert all(uri.startswith(f"{night.folder}/out/_shards/") for shard in shards for uri in shard["uris"])


def test_bytes_split_as_rows_do_and_packed_files_are_unpacked(vertex, night):
    vertex.gcs.put(f"{night.folder}/in/a.jsonl.gz", gzip.compress(rows(20)))

    shards = night.plan(inputs=f"{night.folder}/in/*", max_bytes=1000, staging=f"{night.folder}/tmp/")

    assert len(shards) == 2 or len(shards) == 3
    assert lines_of(vertex, *shards) == rows(20).splitlines()
    assert all(shard["uris"][0].startswith(f"{night.folder}/tmp/") for shard in shards)


def test_large_shards_go_up_in_chunks_and_arrive_whole(vertex, night):
    content = b"".join(b'{"row": %d, "text": "%s"}\n' % (n, b"x" * (n % 2000)) for n in range(24_000))
    vertex.gcs.put(f"{night.folder}/in/a.jsonl", content)

    shards = night.plan(max_bytes=10_000_000)

    assert len(shards) == 3
    assert b"".join(read(vertex, uri) for shard in shards for uri in shard["uris"]) == content


@pytest.mark.parametrize("blocks", [1, 12])
def test_a_write_that_fails_leaves_no_object(vertex, folder, blocks):
    def failing():
        for _ in range(blocks):
            yield b"x" * (1 << 20)
        raise ValueError("the source is gone")

    fs = open_filesystem()
    with pytest.raises(ValueError, match="the source is gone"):
        open_storage().write(f"{folder}/part", failing())
    gc.collect()
    assert not fs.exists(f"{folder}/part")


def test_a_retry_goes_on_with_the_plan_even_if_the_input_has_changed(vertex, night):
    vertex.gcs.put(f"{night.folder}/in/a.jsonl", rows(7))
    first = night.plan(max_rows=3)
    vertex.gcs.put(f"{night.folder}/in/a.jsonl", rows(30))
    night.context["ti"].try_number = 2

    assert night.plan(max_rows=3) == first


def test_a_cleared_plan_finds_what_is_written_and_a_changed_input_is_written_anew(vertex, night):
    vertex.gcs.put(f"{night.folder}/in/a.jsonl", rows(7))
    first = night.plan(max_rows=3)
    night.context["ti"].max_tries += 4
    assert night.plan(max_rows=3) == first

    vertex.gcs.put(f"{night.folder}/in/a.jsonl", rows(7, 100))
    night.context["ti"].max_tries += 4
    again = night.plan(max_rows=3)
    assert not {uri for part in again for uri in part["uris"]} & {
        uri for part in first for uri in part["uris"]
    }
    assert lines_of(vertex, *again) == rows(7, 100).splitlines()


@pytest.fixture(params=["kept", "discarded"])
def clear(request, night):
    """Clear the tasks as a person does; Airflow 3.3 keeps what they have stored, 3.4 discards it."""

    def clear() -> None:
        night.context["ti"].max_tries += 4
        for store in [night.context["task_state_store"], *night.stores.values()]:
            if request.param == "discarded":
                store.values.clear()

    return clear


def states(vertex, jobs: list[dict[str, Any]]) -> list[str]:
    found = {job.id: job.state for job in vertex.admin.jobs()}
    return [found[job["job_id"]] for job in jobs]


def test_jobs_of_shards_that_a_cleared_plan_has_no_use_for_are_cancelled(vertex, night, clear):
    vertex.admin.add_scenario(HELD)
    for number, name in enumerate("abc"):
        vertex.gcs.put(f"{night.folder}/in/{name}.jsonl", rows(2, 2 * number))
    jobs = night.submit_all(night.plan(max_rows=2))
    clear()
    vertex.gcs.put(f"{night.folder}/in/b.jsonl", b"\n")
    vertex.gcs.put(f"{night.folder}/in/c.jsonl", b"\n")

    # One part is left: the plan cancels what has no task any more, and that part's task its own job.
    parts = night.plan(max_rows=2)
    assert states(vertex, jobs) == ["PENDING", "CANCELLED", "CANCELLED"]
    (whole,) = night.submit_all(parts)
    assert states(vertex, [*jobs, whole]) == ["CANCELLED", "CANCELLED", "CANCELLED", "PENDING"]


def test_a_job_that_reads_everything_is_cancelled_once_the_input_is_split(vertex, night, clear):
    vertex.admin.add_scenario(HELD)
    vertex.gcs.put(f"{night.folder}/in/a.jsonl", rows(2))
    (whole,) = night.submit_all(night.plan(max_rows=2))
    clear()
    vertex.gcs.put(f"{night.folder}/in/a.jsonl", rows(3))

    shards = night.submit_all(night.plan(max_rows=2))
    assert states(vertex, [whole, *shards]) == ["CANCELLED", "PENDING", "PENDING"]


def test_a_job_of_the_task_before_it_was_mapped_is_cancelled(vertex, night, clear):
    vertex.admin.add_scenario(HELD)
    vertex.gcs.put(f"{night.folder}/in/a.jsonl", rows(2))
    parts = night.plan()
    job = night.submit(parts[0], -1)
    clear()

    night.plan()
    assert states(vertex, [job]) == ["CANCELLED"]


@pytest.mark.parametrize("lag", [0, 3600])
def test_a_job_in_the_location_that_the_spec_had_is_cancelled(vertex, night, clear, lag):
    """Also if the list does not show it yet."""
    vertex.admin.add_scenario(HELD)
    vertex.gcs.put(f"{night.folder}/in/a.jsonl", rows(2))
    (job,) = night.submit_all(night.plan())
    clear()
    vertex.admin.set_settings(list_lag_seconds=lag)

    night.plan(location="europe-west4")
    assert states(vertex, [job]) == ["CANCELLED"]


def test_shards_that_are_the_same_after_a_clear_are_adopted(vertex, night, clear):
    vertex.admin.add_scenario(HELD)
    vertex.gcs.put(f"{night.folder}/in/a.jsonl", rows(4))
    first = night.submit_all(night.plan(max_rows=2))
    clear()

    second = night.submit_all(night.plan(max_rows=2))

    assert [job["job_id"] for job in second] == [job["job_id"] for job in first]
    assert len(vertex.admin.jobs()) == 2


def keyed(*keys: str) -> bytes:
    """Rows, each with a key; an empty one is left out."""
    found = (json.loads(line) for line in rows(len(keys)).splitlines())
    named = ({**({"ticket_id": key} if key else {}), **row} for key, row in zip(keys, found, strict=True))
    return "".join(f"{json.dumps(row)}\n" for row in named).encode()


@pytest.mark.parametrize("max_rows", [2, None])
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_key_that_no_row_has_is_refused_before_money_is_spent(vertex, night, max_rows, dry_run, capsys):
    vertex.gcs.put(f"{night.folder}/in/a.jsonl", keyed("a", "b", "c", "d"))
    night.context["params"] = {"dry_run": dry_run}
    part, *_ = night.plan(key="tiket_id", max_rows=max_rows)
    named = r"rows has the field `tiket_id`, which `results\.key` names; did you mean `ticket_id`\?"
    with pytest.raises(AirflowFailException, match=named):
        night.submit(part, key="tiket_id")
    log = capsys.readouterr().out
    assert "Nothing was submitted and nothing was spent." in log
    assert "Correct `results.key` in the spec, or the rows, and clear `submit`" in log
    assert vertex.admin.jobs() == []
    vertex.admin.add_scenario(HELD)
    night.context["params"] = {}
    night.submit(part, key="ticket_id")  # the spec was corrected, and this task cleared alone
    assert len(vertex.admin.jobs()) == 1


def test_a_shard_without_the_key_is_submitted_if_other_rows_have_it(vertex, night, capsys):
    vertex.admin.add_scenario(HELD)
    vertex.gcs.put(f"{night.folder}/in/a.jsonl", keyed("", "", "c", "d"))
    for index, part in enumerate(night.plan(key="ticket_id", max_rows=2)):
        night.submit(part, index, key="ticket_id")
    assert len(vertex.admin.jobs()) == 2
    assert "2 of 4 rows have no field `ticket_id`, which `results.key` names" in capsys.readouterr().out


def test_rows_that_are_sent_again_need_no_key(vertex, night):
    vertex.admin.add_scenario(HELD)
    uri = f"{night.folder}/retry.jsonl"
    vertex.gcs.put(uri, rows(2))
    night.submit(
        InputPart(PartKind.RETRY, (uri,), number=1, of=1, rows=2, of_rows=2, round=1).to_dict(),
        key="ticket_id",
    )
    assert len(vertex.admin.jobs()) == 1


BAD = b'{"request": {"contents": [{"role": "system", "parts": [{"text": "x"}]}]}}\n'


@pytest.mark.parametrize("max_rows", [2, 10])
@pytest.mark.parametrize("mode", ["strict", "warn"])
def test_rows_that_are_certain_to_fail_are_compared_with_the_limits_of_the_run(
    vertex, night, max_rows, mode, capsys
):
    vertex.admin.add_scenario(HELD)
    vertex.gcs.put(f"{night.folder}/in/a.jsonl", rows(2) + BAD * 2)
    more = {"failure_limits": {"max_failed_ratio": 0.1}, "preflight": mode}
    said = "2 of 4 rows (50.00%) are certain to fail, more than `max_failed_ratio: 0.1` allows"
    is_strict = mode == "strict"
    with pytest.raises(AirflowFailException, match=re.escape(said)) if is_strict else nullcontext():
        for index, part in enumerate(night.plan(max_rows=max_rows, **more)):
            night.submit(part, index, **more)
    assert capsys.readouterr().out.count(said) == 1
    assert bool(vertex.admin.jobs()) is not is_strict


def test_the_limits_are_of_all_rows_and_not_of_a_shard(vertex, night):
    vertex.admin.add_scenario(HELD)
    vertex.gcs.put(f"{night.folder}/in/a.jsonl", rows(7) + BAD)
    limits = {"failure_limits": {"max_failed_ratio": 0.2}}
    for index, part in enumerate(night.plan(max_rows=2, **limits)):
        night.submit(part, index, **limits)
    assert len(vertex.admin.jobs()) == 4


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_dry_run_of_a_split_input_notes_what_is_wrong_in_the_rows_of_all_shards(vertex, night, dry_run):
    vertex.gcs.put(f"{night.folder}/in/a.jsonl", rows(2) + b'{"request": {"contents": []}}\n' * 2)
    night.context["params"] = {"dry_run": dry_run}
    for _ in range(2):  # a retry uses the plan of the try before
        night.context["ti"].xcoms.pop(("plan_inputs", OUTCOME_XCOM), None)
        assert len(night.plan(max_rows=2)) == 2
        noted = night.context["ti"].xcoms.get(("plan_inputs", OUTCOME_XCOM))
        if dry_run:
            assert noted["is_note"]
            assert f"Pre-flight: {night.folder}/in/a.jsonl:3: " in noted["message"]
            assert noted["message"].endswith("(this row fails; the same in 1 more).")
        else:
            assert noted is None


def test_each_shard_says_which_it_is(vertex, night):
    vertex.admin.add_scenario(HELD)
    vertex.gcs.put(f"{night.folder}/in/a.jsonl", rows(4))
    night.submit_all(night.plan(max_rows=2))

    jobs = sorted(vertex.admin.jobs(), key=lambda job: job.labels["airflow_shard"])
    assert [job.labels["airflow_shard"] for job in jobs] == ["1-of-2", "2-of-2"]
    assert [job.request["displayName"] for job in jobs] == ["nightly, shard 1 of 2", "nightly, shard 2 of 2"]
    assert len({job.labels["airflow_request"] for job in jobs}) == 2
    assert {job.request["outputConfig"]["gcsDestination"]["outputUriPrefix"] for job in jobs} == {
        f"{night.folder}/out/"
    }


def test_a_lost_plan_submits_nothing(vertex, night):
    with pytest.raises(AirflowFailException, match="input plan is gone"):
        night.submit(None)
    assert vertex.admin.jobs() == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\n" * 1000, "holds no rows"),
        (rows(2) + b"x" * 700 + b"\n", "line 3 has 701 bytes"),
        (rows(1100), "needs 1,100 jobs"),
    ],
)
def test_what_no_run_can_read_costs_nothing(vertex, night, content, said):
    vertex.gcs.put(f"{night.folder}/in/a.jsonl", content)
    with pytest.raises(AirflowFailException, match=said) as caught:
        night.plan(max_rows=1, max_bytes=500)
    assert "Nothing was submitted" in str(caught.value)


def test_an_input_that_is_not_there_is_said_to_be_missing(vertex, night):
    with pytest.raises(AirflowFailException, match="matches no object"):
        night.plan()


@pytest.fixture
def wrong_key(vertex, monkeypatch):
    connection = {"conn_type": "litellm", "host": vertex.direct.base_url, "password": "sk-wrong"}
    connection["extra"] = {"project": "demo-project", "location": "us-central1", "route_prefix": "/v1"}
    monkeypatch.setenv("AIRFLOW_CONN_LITELLM_DEFAULT", json.dumps(connection))


@pytest.mark.usefixtures("wrong_key")
def test_a_wrong_proxy_is_found_before_the_input_is_looked_at(night):
    """The input is missing, too."""
    with pytest.raises(AirflowFailException, match="Could not list the jobs in demo-project/us-central1"):
        night.plan()


@pytest.mark.usefixtures("wrong_key")
@pytest.mark.parametrize("clears", [0, 1])
def test_a_wrong_proxy_fails_once_unless_an_earlier_epoch_may_have_submitted(
    night, tmp_path, monkeypatch, clears
):
    night.context["dag_run"].clear_number = clears
    with pytest.raises(AirflowFailException):
        night.plan(retries=3)
    ended = (AirflowFailException, "Could not list") if clears else (AirflowSkipException, "It ended before")
    with pytest.raises(ended[0], match=ended[1]):
        night.record(tmp_path, monkeypatch)


@pytest.mark.parametrize("failed", [1, 2])
def test_jobs_are_searched_unless_every_submit_task_has_failed_before_it_could_submit(
    vertex, night, tmp_path, monkeypatch, failed
):
    vertex.gcs.put(f"{night.folder}/in/a.jsonl", rows(4))
    night.plan(max_rows=2)
    for index in range(failed):
        night.turn_to("submit", index)
        night.context["ti"].xcom_push(NOTHING_SUBMITTED_XCOM, index)
    said = "none was searched for" if failed == 2 else "nothing to bill.$"
    with pytest.raises(AirflowSkipException, match=said):
        night.record(tmp_path, monkeypatch)


def test_what_still_runs_is_cancelled_although_the_cost_table_does_not_answer(
    vertex, night, tmp_path, monkeypatch
):
    vertex.admin.add_scenario(HELD)
    vertex.gcs.put(f"{night.folder}/in/a.jsonl", rows(4))
    jobs = night.submit_all(night.plan(max_rows=2))
    (tmp_path / "file").touch()
    with pytest.raises(AirflowFailException, match="the file cannot be created"):
        night.record(tmp_path / "file", monkeypatch)  # no folder, so no database can be in it
    assert states(vertex, jobs) == ["CANCELLED", "CANCELLED"]


def test_a_table_is_passed_on_unseen(vertex, night):
    (part,) = night.plan(inputs="bq://project.dataset.table", output_uri="bq://project.dataset")
    assert part["uris"] == ["bq://project.dataset.table"]
    night.context["params"]["sample"] = 3
    night.context["ti"].max_tries += 4
    with pytest.raises(AirflowFailException, match="cannot be sampled"):
        night.plan(inputs="bq://project.dataset.table", output_uri="bq://project.dataset")


def test_the_bill_of_all_shards_adds_up_row_by_row(vertex, night, tmp_path, monkeypatch):
    vertex.admin.add_scenario(AT_ONCE)
    vertex.gcs.put(f"{night.folder}/in/a.jsonl", rows(7))
    night.run_all(night.plan(max_rows=3))

    told = night.record(tmp_path, monkeypatch)

    assert (told["shards"], told["rows"], told["problems"]) == (3, 7, [])
    assert [job["ok_rows"] + job["failed_rows"] for job in told["jobs"]] == [3, 3, 1]
    assert Decimal(told["amount_usd"]) == sum(Decimal(job["amount_usd"]) for job in told["jobs"]) > 0


def test_a_shard_that_was_never_submitted_is_missed_on_the_bill(vertex, night, tmp_path, monkeypatch):
    vertex.admin.add_scenario(AT_ONCE)
    vertex.gcs.put(f"{night.folder}/in/a.jsonl", rows(7))
    night.run_all(night.plan(max_rows=3)[:2])

    told = night.record(tmp_path, monkeypatch)

    assert told["problems"] == [
        "shard 3 of 3 has no job, so 1 rows did not run",
        "the shards have 7 rows, but their outputs have 6",
    ]


class TestManyShards:
    """A plan that is too large to be passed on. Here every plan is."""

    @pytest.fixture(autouse=True)
    def small(self, monkeypatch):
        monkeypatch.setattr(plans, "MAX_PLAN_BYTES", 10)

    def test_each_task_reads_its_shard_from_the_object_and_the_bill_adds_up(
        self, vertex, night, tmp_path, monkeypatch
    ):
        vertex.admin.add_scenario(AT_ONCE)
        vertex.gcs.put(f"{night.folder}/in/a.jsonl", rows(7))
        shards = night.plan(max_rows=3)
        assert shards == [{"kind": "shard", "number": number, "of": 3} for number in (1, 2, 3)]
        assert night.part()["shard_rows"] == [3, 3, 1]
        night.run_all(shards)
        inputs = [job.request["inputConfig"]["gcsSource"]["uris"] for job in vertex.admin.jobs()]
        assert b"".join(read(vertex, uri) for uris in inputs for uri in uris) == rows(7)
        told = night.record(tmp_path, monkeypatch)
        assert (told["shards"], told["rows"], told["problems"]) == (3, 7, [])

    def test_a_retry_keeps_the_plan_and_a_clear_makes_the_same_one(self, vertex, night):
        vertex.gcs.put(f"{night.folder}/in/a.jsonl", rows(7))
        first, one = night.plan(max_rows=3), night.part()
        assert (night.plan(max_rows=3), night.part()) == (first, one)
        night.context["ti"] = replace(night.context["ti"], max_tries=7)
        assert (night.plan(max_rows=3), night.part()) == (first, one)

    @pytest.mark.parametrize(
        "content", [None, b"[]\n", b'{"kind": "shard", "number": 1, "of": 3, "uris": ["gs://x/y"]}\n']
    )
    def test_a_plan_that_is_gone_or_was_changed_submits_nothing(self, vertex, night, content):
        vertex.gcs.put(f"{night.folder}/in/a.jsonl", rows(7))
        shards = night.plan(max_rows=3)
        (uri,) = night.part()["uris"]
        vertex.gcs.delete(uri) if content is None else vertex.gcs.put(uri, content)
        said = "clear the task that plans" if content is None else "not the plan that was written"
        with pytest.raises(PermanentError, match=said):
            night.submit(shards[0])
        assert vertex.admin.jobs() == []


def test_the_plan_of_a_thousand_shards_stays_below_64_kb():
    """As JSON, as Airflow stores it, with names as long as people have them."""
    folder = "gs://a-bucket-of-some-team/tickets/summaries/input/2026-11-20"
    parts = [
        InputPart(
            PartKind.SHARD,
            tuple(f"{folder}/part-{number:05}-{each}-of-08000.jsonl" for each in range(8)),
            number=number,
            of=1024,
            rows=200_000,
            of_rows=204_800_000,
            listing="0" * 32 + ":Gemini:gemini-3.8-flash-preview:metadata.customer.id",
            report=report_data(Report(objects=8, rows=200_000, size_bytes=10**9)),
        )
        for number in range(1, 1025)
    ]
    storage = ObjectStorage(MemoryFileSystem(skip_instance_cache=True))
    place = StagingPlace("memory://out/_shards/", "k" * 40)
    assert len(json.dumps([part.to_dict() for part in parts])) > 900_000
    plan = plan_of(parts, storage, place)
    assert len(json.dumps({"epoch": 3, **plan.to_dict()})) < 65_535
    assert len(json.dumps(plan.shards)) < 65_535
    for number in (1, 1024):
        part = InputPart.from_dict(plan.shards[number - 1])
        assert part is not None
        assert whole_shard(part, plan.one, storage) == parts[number - 1]


class TestSample:
    def test_it_is_drawn_with_its_seed_and_never_looks_like_the_whole(self, vertex, night):
        vertex.admin.add_scenario(HELD)
        vertex.gcs.put(f"{night.folder}/in/a.jsonl", rows(50))
        night.context["params"].update(sample=5, sample_seed=7)
        (part,) = night.plan(max_rows=10)
        drawn = lines_of(vertex, part)
        night.submit(part)

        assert (part["kind"], part["rows"], part["of_rows"], part["seed"]) == ("sample", 5, 50, 7)
        assert len(set(drawn)) == 5
        assert set(drawn) <= set(rows(50).splitlines())
        (job,) = vertex.admin.jobs()
        assert job.request["displayName"] == "SAMPLE of 5 rows: nightly"
        assert job.labels["airflow_sample"] == "5-of-50"
        assert (
            job.request["outputConfig"]["gcsDestination"]["outputUriPrefix"]
            == f"{night.folder}/out/_samples/"
        )

    def test_the_same_seed_draws_the_same_rows_in_another_run(self, vertex, night):
        vertex.gcs.put(f"{night.folder}/in/a.jsonl", rows(50))
        night.context["params"].update(sample=5)
        first = lines_of(vertex, *night.plan())
        night.context["ti"].run_id = "another"
        night.context["ti"].max_tries += 4
        assert lines_of(vertex, *night.plan()) == first

    def test_it_says_what_all_rows_would_cost_and_how_sure_that_is(
        self, vertex, night, tmp_path, monkeypatch
    ):
        vertex.admin.add_scenario(AT_ONCE)
        vertex.gcs.put(f"{night.folder}/in/a.jsonl", rows(50))
        night.context["params"].update(sample=10, note="is it dear?")
        night.run_all(night.plan())

        told = night.record(tmp_path, monkeypatch)

        projection = told["projection"]
        assert told["sample"] == "a sample of 10 of 50 rows, seed 0"
        assert Decimal(projection["amount_usd"]) == 5 * Decimal(told["amount_usd"]) > 0
        assert Decimal(projection["standard_error_usd"]) > 0
        assert sum(map(Decimal, projection["by_kind_usd"].values())) == Decimal(projection["amount_usd"])
        assert "All 50 rows would cost" in projection["text"]

    @pytest.mark.parametrize("rows_wanted", [-1, MAX_SAMPLE_ROWS + 1])
    def test_a_size_that_makes_no_sense_is_refused(self, vertex, night, rows_wanted):
        vertex.gcs.put(f"{night.folder}/in/a.jsonl", rows(5))
        night.context["params"].update(sample=rows_wanted)
        with pytest.raises(AirflowFailException, match="must be from 1 to 10,000"):
            night.plan()

    def test_its_answers_are_announced_to_nobody_and_those_of_everything_are(self, vertex, night):
        vertex.gcs.put(f"{night.folder}/in/a.jsonl", rows(5))
        announce = AnnounceResultsOperator(task_id="results", plan_task_id="plan_inputs")
        night.plan()
        announce.execute(night.context)
        night.context["params"].update(sample=2)
        night.context["ti"].max_tries += 4
        night.plan()

        with pytest.raises(AirflowSkipException, match="a sample of 2 of 5 rows"):
            announce.execute(night.context)
