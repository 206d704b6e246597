import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Event

import pytest

from local.emulator.admin import Cancel, Match, Output, RowRule, Scenario, Step, Trait
from local.emulator.catalogue import Place, resolve_model
from local.emulator.jobs import Job
from local.emulator.life import Life, Surroundings
from local.emulator.notice import Notice
from local.emulator.script import Settings
from local.emulator.states import STATES, TERMINAL
from local.emulator.work import Spool, Work

RUNNING_HELD = [Step(state="PENDING"), Step(state="RUNNING", seconds=None)]
PENDING_HELD = [Step(state="PENDING", seconds=None)]


@pytest.fixture
def run(api, admin, create):
    """Create a job under a scenario and wait for its end; the ledger's entry and the API's view of it."""

    def live(scenario=None, end="SUCCEEDED", **fields):
        if scenario is not None:
            admin.add_scenario(scenario)
        job_id = create(**fields)
        (job,) = admin.wait_for_jobs(job_id=job_id, state=end)
        return job, api.get(job_id).json()

    return live


def test_a_job_without_a_scenario_goes_through_the_default_states(run):
    job, _ = run()
    assert job.states == ["PENDING", "RUNNING", "SUCCEEDED"]


def test_no_end_is_shown_before_the_output_is_written(run, output_rows):
    job, _ = run(Scenario(timeline=[Step(state="SUCCEEDED", seconds=0)]), rows=3)
    assert job.states == ["PENDING", "SUCCEEDED"]
    assert len(output_rows(job)) == 3


@pytest.mark.parametrize(
    "state",
    [*STATES, "FROZEN"],
)
def test_every_state_can_be_reached_and_one_that_vertex_does_not_have(api, admin, create, state):
    if state in TERMINAL:
        admin.add_scenario(Scenario(end=state))
    else:
        admin.add_scenario(Scenario(timeline=[Step(state="PENDING"), Step(state=state, seconds=None)]))
    job_id = create()
    admin.wait_for_jobs(job_id=job_id, state=state)
    assert api.get(job_id).json()["state"] == f"JOB_STATE_{state}"


@pytest.mark.parametrize(
    ("end", "error", "has_end_time"),
    [
        ("SUCCEEDED", None, True),
        ("FAILED", {"code": 13, "message": "System error. Please try this operation again."}, True),
        ("CANCELLED", {"code": 1, "message": "CANCELED"}, True),
        ("EXPIRED", None, False),
        ("PARTIALLY_SUCCEEDED", None, False),
    ],
)
def test_each_end_looks_as_it_does_at_google(run, end, error, has_end_time):
    _, view = run(Scenario(end=end), end=end)
    assert view.get("error") == error
    assert ("endTime" in view) is has_end_time
    assert view["updateTime"]


def test_an_end_in_the_middle_leaves_the_finished_rows(run, output_rows):
    job, view = run(Scenario(end="EXPIRED", finished=0.3), end="EXPIRED", rows=10)
    assert view["completionStats"] == {"successfulCount": "3", "incompleteCount": "7"}
    assert len(output_rows(job)) == 3


def test_a_job_that_expires_in_the_queue_has_no_output(run):
    scenario = Scenario(timeline=[Step(state="PENDING", seconds=1)], end="EXPIRED")
    job, view = run(scenario, end="EXPIRED")
    assert job.rows is None
    assert not {"completionStats", "outputInfo", "startTime"} & set(view)


def test_a_job_goes_on_from_where_it_is_released(admin, create):
    admin.add_scenario(Scenario(timeline=RUNNING_HELD))
    job_id = create()
    (job,) = admin.wait_for_jobs(job_id=job_id, state="RUNNING")
    assert job.states == ["PENDING", "RUNNING"]
    admin.release_job(job_id)
    admin.wait_for_jobs(job_id=job_id, state="SUCCEEDED")


def test_the_counts_grow_while_a_job_runs(api, admin, create):
    admin.set_settings(speed=1)
    admin.add_scenario(Scenario(timeline=[Step(state="PENDING"), Step(state="RUNNING", seconds=600)]))
    job_id = create(rows=100)
    admin.wait_for_jobs(job_id=job_id, state="RUNNING")
    first = api.get(job_id).json()["completionStats"]
    assert first == {"incompleteCount": "100"}
    admin.release_job(job_id)
    admin.wait_for_jobs(job_id=job_id, state="SUCCEEDED")
    assert api.get(job_id).json()["completionStats"] == {"successfulCount": "100"}


def test_a_held_job_has_done_half_of_its_rows(api, admin, create):
    admin.add_scenario(Scenario(timeline=RUNNING_HELD))
    job_id = create(rows=10)
    admin.wait_for_jobs(job_id=job_id, state="RUNNING")
    assert api.get(job_id).json()["completionStats"] == {"successfulCount": "5", "incompleteCount": "5"}


def test_a_job_may_pause_and_be_updated_on_its_way(run):
    states = ["QUEUED", "PENDING", "RUNNING", "UPDATING", "RUNNING", "PAUSED", "RUNNING"]
    job, _ = run(Scenario(timeline=[Step(state=state, seconds=1) for state in states]))
    assert job.states == [*states, "SUCCEEDED"]


def test_a_cancelled_job_keeps_the_rows_that_were_finished(api, admin, create, output_rows):
    admin.add_scenario(Scenario(timeline=RUNNING_HELD))
    job_id = create(rows=10)
    admin.wait_for_jobs(job_id=job_id, state="RUNNING")
    api.cancel(job_id)
    (job,) = admin.wait_for_jobs(job_id=job_id, state="CANCELLED")
    assert job.states == ["PENDING", "RUNNING", "CANCELLING", "CANCELLED"]
    assert job.cancel_outcome == "cancelled"
    assert len(output_rows(job)) == 5
    stats = {"successfulCount": "5", "incompleteCount": "5"}
    assert api.get(job_id).json()["completionStats"] == stats


def test_a_cancel_may_come_too_late(api, admin, create, output_rows):
    admin.add_scenario(Scenario(timeline=RUNNING_HELD, cancel=Cancel(end="SUCCEEDED")))
    job_id = create(rows=10)
    admin.wait_for_jobs(job_id=job_id, state="RUNNING")
    api.cancel(job_id)
    (job,) = admin.wait_for_jobs(job_id=job_id, state="SUCCEEDED")
    assert job.states == ["PENDING", "RUNNING", "CANCELLING", "SUCCEEDED"]
    assert job.cancel_outcome == "too_late"
    assert len(output_rows(job)) == 10


def test_a_cancel_in_the_queue_may_come_too_late_as_well(api, admin, create, output_rows):
    admin.add_scenario(Scenario(timeline=PENDING_HELD, cancel=Cancel(end="SUCCEEDED")))
    job_id = create(rows=3)
    api.cancel(job_id)
    (job,) = admin.wait_for_jobs(job_id=job_id, state="SUCCEEDED")
    assert len(output_rows(job)) == 3


def test_a_job_can_stay_in_cancelling_and_further_calls_change_nothing(api, admin, create):
    admin.add_scenario(Scenario(timeline=PENDING_HELD, cancel=Cancel(seconds=None)))
    job_id = create()
    assert [api.cancel(job_id).status_code for _ in range(3)] == [200, 200, 200]
    job = admin.job(job_id)
    assert (job.state, job.cancel_outcome) == ("CANCELLING", "pending")
    assert [call.state for call in job.cancel_calls] == ["PENDING", "CANCELLING", "CANCELLING"]
    admin.release_job(job_id)
    admin.wait_for_jobs(job_id=job_id, state="CANCELLED")
    assert api.cancel(job_id).status_code == 400
    assert admin.job(job_id).cancel_calls[-1].http_status == 400


def bucket_message(bucket):
    return (
        f"Failed to get GCS bucket location for {bucket}. "
        "Please check that the bucket exists and permissions are set correctly."
    )


def test_a_missing_bucket_fails_the_job_not_the_call(run, body):
    source = {"instancesFormat": "jsonl", "gcsSource": {"uris": ["gs://nowhere/x.jsonl"]}}
    job, view = run(end="FAILED", inputConfig=source)
    assert view["error"] == {"code": 9, "message": bucket_message("nowhere")}
    assert job.states == ["PENDING", "FAILED"]
    destination = {"predictionsFormat": "jsonl", "gcsDestination": {"outputUriPrefix": "gs://nowhere-else/o"}}
    _, view = run(end="FAILED", outputConfig=destination)
    assert view["error"] == {"code": 9, "message": bucket_message("nowhere-else")}


@pytest.mark.parametrize(
    ("content", "note"),
    [
        (b"", "the input holds no rows"),
        (b"\n\n", "the input holds no rows"),
        (b'{"request": {"contents": 1}}\nnot json\n', "row 2 is not JSON"),
        (b'{"request": {"tools": [{"googleSearch": {}}]}}\n', "row 1 holds an empty object"),
    ],
)
def test_input_that_the_importer_refuses_fails_the_job(run, put_rows, content, note):
    job, view = run(end="FAILED", uri=put_rows(content))
    assert view["error"]["code"] == 3
    assert view["error"]["message"].startswith("Failed to import data. Please check 'Prepare input'")
    assert note in job.note
    assert "completionStats" not in view


def test_a_missing_object_fails_the_job(run):
    job, view = run(end="FAILED", uri="gs://input/no-such-thing.jsonl")
    assert view["error"]["code"] == 3
    assert job.note == "there is no object gs://input/no-such-thing.jsonl"


def test_wildcards_stay_in_their_folder(run, put_rows, prompts):
    for name in ("glob/a-1.jsonl", "glob/a-2.jsonl", "glob/deep/a-3.jsonl", "glob/b-1.jsonl"):
        put_rows(prompts(2), name)
    counts = {
        uri: run(uri=f"gs://input/glob/{uri}")[0].rows for uri in ("a-*.jsonl", "**.jsonl", "a-?.jsonl")
    }
    assert counts == {"a-*.jsonl": 4, "**.jsonl": 8, "a-?.jsonl": 4}


def test_several_inputs_are_read(run, put_rows, prompts):
    uris = [put_rows(prompts(2)), put_rows(prompts(3))]
    source = {"instancesFormat": "jsonl", "gcsSource": {"uris": uris}}
    assert run(inputConfig=source)[0].rows == 5


def test_a_job_over_bigquery_is_accepted_and_fails_with_the_reason(run):
    source = {"instancesFormat": "bigquery", "bigquerySource": {"inputUri": "bq://p.d.t"}}
    _, view = run(end="FAILED", inputConfig=source)
    assert view["error"]["code"] == 12
    assert "BigQuery" in view["error"]["message"]


def test_every_row_comes_out_once_in_another_order(run, output_rows):
    job, _ = run(rows=50)
    ids = [row["custom_id"] for row in output_rows(job)]
    assert ids != sorted(ids, key=lambda text: int(text[3:]))
    assert sorted(ids) == sorted(f"id-{number}" for number in range(50))


def test_failed_rows_do_not_fail_the_job(run, output_rows):
    job, view = run(Scenario(mix={Trait.FAILED: 1}), rows=4)
    assert view["state"] == "JOB_STATE_SUCCEEDED"
    assert view["completionStats"] == {"failedCount": "4"}
    assert all(row["status"].startswith("Bad Request") for row in output_rows(job))


def test_the_mix_of_the_settings_is_for_jobs_without_their_own(admin, run):
    admin.set_settings(mix={Trait.FAILED: 1})
    assert run()[1]["completionStats"] == {"failedCount": "4"}
    assert run(Scenario(mix={}))[1]["completionStats"] == {"successfulCount": "4"}


def test_rows_can_be_chosen_by_their_text_and_by_their_place(run, output_rows):
    scenario = Scenario(
        rows=[RowRule(contains="Prompt 3.", traits=[Trait.LONG_CONTEXT])],
        output=Output(first_row=[Trait.FAILED_ABSENT]),
    )
    job, _ = run(scenario, rows=20)
    first, *others = output_rows(job)
    assert "response" not in first
    long = [row for row in others if row["response"]["usageMetadata"]["promptTokenCount"] > 200_000]
    assert [row["custom_id"] for row in long] == ["id-3"]


def test_output_that_may_not_be_written_leaves_counts_and_an_empty_directory(run, store):
    scenario = Scenario(
        end="FAILED", error_code=7, error_message="No permission.", output=Output(write=False)
    )
    job, view = run(scenario, end="FAILED")
    assert view["error"] == {"code": 7, "message": "No permission."}
    assert view["completionStats"] == {"successfulCount": "4"}
    assert store.list(job.output_directory) == []


def test_output_may_be_sharded_copied_repeated_cut_or_empty(run, store, output_rows):
    def files(**output):
        job, _ = run(Scenario(times=1, output=Output(**output)), rows=10)
        return {
            uri.removeprefix(job.output_directory + "/"): store.get(uri)
            for uri in store.list(job.output_directory)
        }

    shards = files(shards=3)
    assert {name: content.count(b"\n") for name, content in shards.items()} == {
        "predictions_00001.jsonl": 3,
        "predictions_00002.jsonl": 3,
        "predictions_00003.jsonl": 4,
    }
    assert set(files(incremental=True)) == {
        "incremental_predictions/predictions_00000.jsonl",
        "predictions.jsonl",
    }
    assert files(duplicate_rows=2)["predictions.jsonl"].count(b"\n") == 12
    assert files(missing_rows=2)["predictions.jsonl"].count(b"\n") == 8
    cut = files(truncated=True)["predictions.jsonl"].splitlines()
    assert len(cut) == 10
    with pytest.raises(json.JSONDecodeError):
        json.loads(cut[-1])
    assert files(empty=True) == {"predictions.jsonl": b""}


@pytest.mark.parametrize(
    ("stats", "shown"),
    [
        ({}, None),
        ({"successfulCount": 9, "incompleteCount": -1}, {"successfulCount": "9", "incompleteCount": "-1"}),
    ],
)
def test_statistics_may_be_missing_or_wrong(run, stats, shown):
    assert run(Scenario(stats=stats))[1].get("completionStats") == shown


def test_partial_failures_are_listed_at_the_end(run):
    _, view = run(Scenario(end="PARTIALLY_SUCCEEDED", partial_failures=20), end="PARTIALLY_SUCCEEDED")
    assert len(view["partialFailures"]) == 20


def test_a_resumed_job_copies_what_is_done_and_runs_the_rest(run, output_rows):
    first, _ = run(Scenario(times=1, mix={Trait.FAILED_EMPTY: 0.5}), rows=40)
    before = {row["custom_id"]: row for row in output_rows(first)}
    second, view = run(uri=f"{first.output_directory}/predictions.jsonl")
    after = {row["custom_id"]: row for row in output_rows(second)}
    done = {key for key, row in before.items() if row["response"]}
    assert 0 < len(done) < 40
    assert view["completionStats"] == {"successfulCount": "40"}
    assert {key for key in before if after[key] == before[key]} == done


def test_gemini_embedding_jobs_write_their_own_rows(run, put_rows, output_rows):
    uri = put_rows([{"key": "k", "request": {"content": {"parts": [{"text": "a b"}]}}}])
    job, _ = run(model="publishers/google/models/gemini-embedding-001", uri=uri)
    assert output_rows(job)[0]["response"]["tokenCount"] == "2"


def test_text_embedding_jobs_write_their_own_rows(run, put_rows, output_rows):
    job, _ = run(model="publishers/google/models/text-embedding-005", uri=put_rows([{"content": "a b"}]))
    assert output_rows(job)[0]["predictions"][0]["embeddings"]["statistics"]["token_count"] == 2


def test_the_first_scenario_that_matches_is_the_job_s_own(admin, create):
    admin.add_scenario(Scenario(name="label", match=Match(labels={"a": "*"}), timeline=PENDING_HELD))
    admin.add_scenario(
        Scenario(name="name", match=Match(display_name="night*"), times=1, timeline=PENDING_HELD)
    )
    admin.add_scenario(Scenario(name="model", match=Match(model="gemini-2.5-*"), timeline=PENDING_HELD))
    admin.add_scenario(Scenario(name="input", match=Match(input_uri="gs://input/*"), timeline=PENDING_HELD))
    ids = [
        create(labels={"a": "b"}),
        create(),
        create(),
        create(model="publishers/google/models/gemini-3.5-flash"),
    ]
    assert [admin.job(job_id).scenario for job_id in ids] == ["label", "name", "model", "input"]


def test_a_job_over_more_rows_than_the_window_keeps_them_all(run, put_rows, output_rows):
    rows = b"".join(b'{"content": "row %d"}\n' % number for number in range(20_000))
    job, view = run(model="publishers/google/models/text-embedding-005", uri=put_rows(rows))
    assert view["completionStats"] == {"successfulCount": "20000"}
    assert len({row["instance"]["content"] for row in output_rows(job)}) == 20_000


def test_more_rows_than_a_batch_may_hold_fail_the_job(run, put_rows):
    rows = b'{"content": "x"}\n' * 30_001
    job, view = run(end="FAILED", model="publishers/google/models/text-embedding-005", uri=put_rows(rows))
    assert view["error"]["code"] == 3
    assert job.note == "more than 30000 rows"


class SlowWork(Work):
    """An import that ends when a test says so, as on a busy machine."""

    def __init__(self) -> None:
        self.ends = Event()

    def prepare(self, abandoned: Event) -> Spool:
        self.ends.wait()
        return Spool()


async def _cancel_while_importing() -> str:
    """Hold a cancelled job in CANCELLING while its import ends; return the job's state after that."""
    held = [Step(state="RUNNING", seconds=None)]
    work, scenario = SlowWork(), Scenario(timeline=held, cancel=Cancel(seconds=None))
    place = Place("p", "1", "us-central1")
    model = resolve_model("publishers/google/models/gemini-2.5-flash", place)
    job = Job("1", 1, place, model, {}, scenario, datetime.now(UTC))
    with ThreadPoolExecutor(1) as executor:
        life = Life(job, work, Surroundings(Settings(), Notice(), executor))
        living = asyncio.create_task(life.run())
        await asyncio.sleep(0)  # it has begun to import
        life.cancel()
        await asyncio.sleep(0)  # it has left the import alone
        work.ends.set()
        await asyncio.get_running_loop().run_in_executor(executor, str)  # what is queued behind it has run
        for _ in range(10):
            await asyncio.sleep(0)
        state = job.state
        life.release()
        await living
    assert job.state == "CANCELLED"
    return state


def test_an_import_that_ends_after_a_cancel_does_not_end_the_cancelling():
    assert asyncio.run(_cancel_while_importing()) == "CANCELLING"
