"""A new spec is a good one, whatever the answers, and never overwrites."""

from __future__ import annotations

import io
import sys
from datetime import datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vertex_batch.cli.new import QUESTIONS, spec_text
from vertex_batch.results import Counts, Reason, why_bad
from vertex_batch.specs import SpecError, load_spec
from vertex_batch.specs.document import read_document

NEEDED = (
    "--model", "gemini-3.8-flash", "--inputs", "gs://my-bucket/{{ run_date }}/*.jsonl", "--output", "gs://my-out/x/",
)  # fmt: skip
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


def test_it_is_valid_and_commented_and_leads_editors_to_the_schema(run, tmp_path):
    folder = tmp_path / "include" / "jobs" / "search"
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "job-spec.schema.json").write_text("{}")
    status, out, _ = run(
        "new", "nightly", "--folder", folder, *NEEDED, "--schedule", "30 2 * * *", "--team", "on"
    )
    path = folder / "nightly.yaml"
    assert (status, out) == (0, f"{path}\n")
    assert path.read_text().startswith("# yaml-language-server: $schema=../../job-spec.schema.json\n")
    spec = load_spec(path)
    assert (spec.schedule, spec.job.team, spec.job.inputs) == (
        "30 2 * * *",
        "on",
        ["gs://my-bucket/{{ run_date }}/*.jsonl"],
    )


def test_a_schedule_applies_from_today_on_in_its_own_time_zone(run, tmp_path):
    zones = {"UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"}  # never the same day in all three
    for number, zone in enumerate(sorted(zones)):
        before = datetime.now(ZoneInfo(zone)).date()
        run("new", f"n{number}", "--folder", tmp_path, *NEEDED, "--schedule", "@daily", "--timezone", zone)
        written = load_spec(tmp_path / f"n{number}.yaml").start_date
        assert written.utcoffset() == datetime.now(ZoneInfo(zone)).utcoffset()
        assert before <= written.date() <= datetime.now(ZoneInfo(zone)).date()
        assert written.time() == time()
    assert "\nstart_date: 2" in (tmp_path / "n0.yaml").read_text()


@pytest.mark.parametrize(
    ("options", "start_date"),
    [
        (("--schedule", "@daily", "--start-date", "2026-01-31"), "2026-01-31"),
        ((), None),
    ],
)
def test_a_start_date_is_taken_from_the_answer_and_not_needed_without_a_schedule(
    run, tmp_path, options, start_date
):
    run("new", "nightly", "--folder", tmp_path, *NEEDED, *options)
    written = load_spec(tmp_path / "nightly.yaml").start_date
    assert (f"{written:%Y-%m-%d}" if written else None) == start_date


def test_every_key_that_it_offers_is_a_key_with_a_good_value(run, tmp_path):
    run("new", "nightly", "--folder", tmp_path, *NEEDED)
    path = tmp_path / "nightly.yaml"
    offered = path.read_text().split("Further keys")[1]
    lines = [
        line[2:] if ": " in line and line[2:].split(":")[0].isidentifier() else line
        for line in offered.splitlines()[1:]
    ]
    path.write_text(path.read_text().split("# Further keys")[0] + "\n".join(lines))
    assert load_spec(path).job.max_failed_ratio == 0.05


def test_it_never_overwrites(run, tmp_path):
    (tmp_path / "nightly.yaml").write_text("mine")
    status, _, err = run("new", "nightly", "--folder", tmp_path, *NEEDED)
    assert status == 1
    assert "Nothing was written" in err
    assert (tmp_path / "nightly.yaml").read_text() == "mine"


def test_a_bad_option_writes_nothing_and_says_which_it_is(run, tmp_path):
    status, _, err = run("new", "nightly", "--folder", tmp_path, *NEEDED, "--schedule", "every night")
    assert status == 1
    assert "--schedule: `every night` is not a valid schedule" in err
    assert ".yaml:" not in err  # no lines of a file that was not written
    assert list(tmp_path.iterdir()) == []


def test_where_nobody_can_be_asked_it_names_what_is_missing(run, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    status, _, err = run("new", "nightly", "--folder", tmp_path, "--model", "gemini-3.8-flash")
    assert status == 1
    assert "--inputs, --output" in err


@pytest.fixture
def typed(monkeypatch):
    """Answer on a terminal; what is not typed is an empty line."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    def typed(*answers: str) -> None:
        monkeypatch.setattr(sys, "stdin", Terminal("\n".join([*answers, *[""] * 20])))

    return typed


def test_what_is_missing_is_asked_for_and_an_empty_answer_is_the_default(run, tmp_path, typed):
    typed("", "gs://my-bucket/a.jsonl", "", "", "", "@daily")
    status, _, err = run("new", "nightly", "--folder", tmp_path)
    assert status == 0
    assert "Model [gemini-3.8-flash]: " in err
    spec = load_spec(tmp_path / "nightly.yaml")
    assert (spec.schedule, spec.job.model) == ("@daily", "gemini-3.8-flash")
    assert spec.job.output == "gs://my-bucket/output/nightly/{{ run_date }}/"
    assert spec.job.results.to == "gs://my-bucket/answers/nightly/{{ run_date }}.parquet"


@pytest.mark.parametrize(
    ("inputs", "output", "answer"),
    [
        ("gs://inputs/a.jsonl", "gs://outputs/x/", "none"),
        ("gs://inputs/a.jsonl", "gs://outputs/", ""),  # nothing beside it is outside it
        ("bq://project.data.t", "bq://project.data", ""),
    ],
)
def test_answers_stay_in_the_output_if_the_user_says_so_or_no_place_beside_it_is_valid(
    run, tmp_path, typed, inputs, output, answer
):
    typed("", answer)
    status, _, err = run("new", "nightly", "--folder", tmp_path, "--inputs", inputs, "--output", output)
    assert (status, err.count("File for the answers")) == (0, 1)
    assert ("[gs://outputs/answers/nightly/{{ run_date }}.parquet]" in err) is (answer == "none")
    assert load_spec(tmp_path / "nightly.yaml").job.results is None


def test_a_wrong_answer_is_refused_at_once_and_the_others_are_kept(run, tmp_path, typed):
    typed(
        "gemini-3.8-flash",
        "my-bucket/a.jsonl",
        "gs://my-bucket/a.jsonl",
        "",
        "gs://my-bucket/answers",
        "",
        "two words",
        "ticket_id",
        "every night",
        "@daily",
        "Berlin",
    )
    status, _, err = run("new", "nightly", "--folder", tmp_path)
    assert status == 0
    assert err.count("Model") == 1
    assert (err.count("Input files"), err.count("Schedule as"), err.count("Time zone")) == (2, 2, 2)
    assert err.count("File for the answers") == 2
    assert err.count("Field of a row with its id") == 2
    assert "  `every night` is not a valid schedule" in err
    assert load_spec(tmp_path / "nightly.yaml").job.inputs == ["gs://my-bucket/a.jsonl"]


def test_a_wrong_name_is_refused_before_a_question(run, tmp_path, typed):
    typed()
    status, _, err = run("new", "Nightly Job", "--folder", tmp_path)
    assert (status, "Model" in err) == (1, False)


@given(st.fixed_dictionaries({question.key: TEXTS for question in QUESTIONS}))
@example({"model": "\x85\u2028\ufeff\x00\U0001f600", "description": 'a\\b"c'})
def test_any_answer_arrives_as_the_text_that_it_was(answers):
    document = read_document(spec_text(answers, "../x.json"))
    nested = {name: text for name, text in answers.items() if name not in ("results", "key")}
    if "results" in answers:
        results = {"to": answers["results"], "max_exceptions_ratio": 0.05}
        nested["results"] = results | ({"key": answers["key"]} if "key" in answers else {})
    assert (document.problems, document.data) == ([], nested)


def test_a_night_with_most_answers_truncated_is_red(run, tmp_path):
    run("new", "nightly", "--folder", tmp_path, *NEEDED, "--results", "gs://my-answers/{{ run_date }}.jsonl")
    allowed = load_spec(tmp_path / "nightly.yaml").job.results.max_exceptions_ratio
    cut = Counts(input_rows=100, delivered=40, exceptions={Reason.TRUNCATED: 60})
    assert "60 of 100 input rows (60.00%) have no good answer" in why_bad(cut, allowed)
    few = Counts(input_rows=100, delivered=96, exceptions={Reason.TRUNCATED: 4})
    assert why_bad(few, allowed) is None


def test_the_key_of_the_rows_is_written_below_the_file_for_the_answers(run, tmp_path):
    results = ("--results", "gs://my-answers/{{ run_date }}.jsonl")
    run("new", "nightly", "--folder", tmp_path, *NEEDED, *results, "--key", "ticket_id")
    assert load_spec(tmp_path / "nightly.yaml").job.results.key == "ticket_id"
    status, _, err = run("new", "other", "--folder", tmp_path, *NEEDED, *results, "--key", "two words")
    assert (status, "--key: `two words` is not a path" in err) == (1, True)
    status, _, err = run("new", "other", "--folder", tmp_path, *NEEDED, "--key", "ticket_id")
    assert (status, "--key: it needs --results" in err) == (1, True)
    assert not (tmp_path / "other.yaml").exists()


@pytest.mark.parametrize(
    ("inputs", "hint"),
    [
        ("gs://my-bucket/in/a.jsonl", "gs://my-bucket/in/{{ run_date }}.jsonl"),
        ("gs://my-bucket/in/a.b.jsonl.gz", "gs://my-bucket/in/{{ run_date }}.b.jsonl.gz"),
        ("gs://my-bucket/in/{{ run_date }}.jsonl", ""),
        ("gs://my-bucket/in/*.jsonl", ""),
        ("bq://project.data.t", ""),
    ],
)
def test_an_input_that_is_the_same_for_every_run_has_the_date_suggested(run, tmp_path, inputs, hint):
    output = "bq://project.data" if inputs.startswith("bq") else "gs://my-out/x/"
    run(
        "new",
        "nightly",
        "--folder",
        tmp_path,
        "--model",
        "gemini-3.8-flash",
        "--inputs",
        inputs,
        "--output",
        output,
    )
    text = (tmp_path / "nightly.yaml").read_text()
    line = f"# With the date, each run reads a file of its own: {hint}\ninputs: {inputs}\n"
    assert (line in text) if hint else ("With the date" not in text)


def test_the_name_is_checked_like_any_other(run, tmp_path):
    status, _, err = run("new", "Nightly Job", "--folder", tmp_path, *NEEDED)
    assert status == 1
    assert "lowercase" in err
    with pytest.raises(SpecError):
        load_spec(tmp_path / "Nightly Job.yaml")


@pytest.mark.parametrize(
    ("row", "key"),
    [
        (b'{"review_id": "r1", "request": {}}\n', "review_id"),
        (b'{"text": "x", "request": {}}\n', ""),
        (b"no JSON\n", ""),
        (None, ""),
    ],
)
def test_the_field_of_the_input_that_looks_like_an_id_is_the_default(
    run, tmp_path, typed, vertex, monkeypatch, row, key
):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", vertex.gcs.url)
    if row:
        vertex.gcs.put("gs://demo-bucket/new/in.jsonl", row)
    typed("", "gs://demo-bucket/new/in.jsonl")
    status, _, err = run("new", "reviews", "--folder", tmp_path)
    assert (status, f"with its id [{key or 'none, rows are joined by their request'}]: " in err) == (0, True)
    assert (load_spec(tmp_path / "reviews.yaml").job.results.key or "") == key


def test_a_new_spec_says_how_to_keep_fields_and_to_write_csv(run, tmp_path):
    run("new", "nightly", "--folder", tmp_path, *NEEDED, "--results", "gs://my-out/answers.csv")
    text = (tmp_path / "nightly.yaml").read_text()
    assert "  # keep: [customer, opened_at]\n" in text
    assert ".jsonl.gz or .csv, which spreadsheets open" in text
