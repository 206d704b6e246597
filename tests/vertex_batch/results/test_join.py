"""Which answer belongs to which input row, and what becomes of the others."""

from __future__ import annotations

import gzip
import json
import resource
import sys
from decimal import Decimal

import pytest

from tests.vertex_batch.results.nights import (
    BUSY,
    INVALID,
    a_request,
    an_answer,
    answered,
    echoed,
    failed,
    lines_of,
)
from vertex_batch.errors import InputUnusableError, OutputMissingError
from vertex_batch.results import ExtraKind, Reason
from vertex_batch.results.delivery_rows import QUERIES, parts_of


def rows(*keys, text="question"):
    return [{"ticket": key, "request": a_request(f"{text} {n}")} for n, key in enumerate(keys)]


def by_row(found):
    return {row["row"]: row["answer"] for row in found.answers}


def reasons(found):
    return {row["row"]: row["reason"] for row in found.exceptions}


def test_answers_come_in_the_order_of_the_input_over_all_files_and_shards(night):
    asked = rows(*"abcdefgh")
    night.add_input(asked[:3])
    night.add_input(asked[3:])
    night.add_output(0, [answered(row, row["ticket"].upper()) for row in reversed(asked[::2])])
    night.add_output(0, [answered(row, row["ticket"].upper()) for row in reversed(asked[1::2])])
    found = night.deliver()
    assert [row["answer"] for row in found.answers] == list("ABCDEFGH")
    assert [row["row"] for row in found.answers] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_without_a_key_rows_are_joined_by_the_request_however_it_is_echoed(night):
    asked = [{"request": a_request(text, temperature=0.5)} for text in ("one", "two", "one")]
    night.add_input(asked)
    night.add_output(
        0,
        [answered(row, row["request"]["contents"][0]["parts"][0]["text"], n) for n, row in enumerate(asked)],
    )
    found = night.deliver(key="")
    assert by_row(found) == {1: "one", 2: "two", 3: "one"}
    assert found.answers[0]["key"] == found.answers[2]["key"] != found.answers[1]["key"]


def test_equal_rows_are_kept_apart_by_their_number(night):
    asked = [{"request": a_request()}] * 3
    night.add_input(asked)
    night.add_output(0, [answered(asked[0], "first", 1), failed(asked[1]), answered(asked[0], "second", 2)])
    found = night.deliver(key="")
    assert by_row(found) == {1: "first", 2: "second"}
    assert reasons(found) == {3: Reason.TRANSIENT}


def test_a_key_that_comes_back_as_a_number_finds_its_row(night):
    asked = rows("000000", "12e3", "x")
    night.add_input(asked)
    night.add_output(
        0,
        [
            {**answered(row, row["ticket"]), "ticket": key}
            for row, key in zip(asked, (0, 12000.0, "x"), strict=True)
        ],
    )
    found = night.deliver()
    assert [(row["key"], row["answer"]) for row in found.answers] == [
        ("000000", "000000"),
        ("12e3", "12e3"),
        ("x", "x"),
    ]


def test_keys_that_are_the_same_number_are_told_apart_by_their_requests(night):
    asked = rows("7", "007", "7.0")
    night.add_input(asked)
    outputs = [{**answered(row, row["ticket"]), "ticket": 7} for row in reversed(asked)]
    night.add_output(0, outputs)
    assert by_row(night.deliver()) == {1: "7", 2: "007", 3: "7.0"}


def test_keys_that_are_the_same_number_are_told_apart_as_they_are_written(night):
    asked = rows("7", "007")
    night.add_input(asked)
    outputs = [{"ticket": row["ticket"], "status": "", "response": an_answer(row["ticket"])} for row in asked]
    night.add_output(0, outputs[::-1])
    assert by_row(night.deliver()) == {1: "7", 2: "007"}


def test_a_repeated_key_gets_the_answer_to_its_own_request(night):
    asked = rows("a", "a", "a")
    night.add_input(asked)
    night.add_output(0, [answered(row, f"to {n}", n) for n, row in enumerate(asked)][::-1])
    assert by_row(night.deliver()) == {1: "to 0", 2: "to 1", 3: "to 2"}


def test_the_answer_to_another_request_is_not_taken_for_one_to_a_repeated_key(night):
    asked = rows("a", "a")
    night.add_input(asked)
    night.add_output(0, [answered(asked[0], "to 0", 1), answered(asked[0], "to 0 again", 2)])
    found = night.deliver()
    assert by_row(found) == {1: "to 0"}
    assert reasons(found) == {2: Reason.MISSING}
    assert found.counts.extra_rows == {ExtraKind.DUPLICATE: 1}


def test_a_key_may_be_inside_the_request(night):
    asked = [{"request": {**a_request("same"), "labels": {"ticket_id": key}}} for key in ("a", "b")]
    night.add_input(asked)
    night.add_output(
        0,
        [
            {
                "status": "",
                "request": row["request"],
                "response": an_answer(row["request"]["labels"]["ticket_id"]),
            }
            for row in asked[::-1]
        ],
    )
    assert by_row(night.deliver(key="request.labels.ticket_id")) == {1: "a", 2: "b"}


def test_a_later_attempt_counts_only_where_the_earlier_had_no_good_answer(night):
    asked = rows("a", "b", "c", "d")
    night.add_input(asked)
    night.add_output(0, [answered(asked[0], "early", 1), failed(asked[1]), failed(asked[2])])
    night.add_output(
        1, [answered(asked[0], "late", 2), answered(asked[1], "late", 3), failed(asked[2], INVALID)]
    )
    found = night.deliver()
    assert by_row(found) == {1: "early", 2: "late"}
    assert [row["attempt"] for row in found.answers] == [0, 1]
    assert reasons(found) == {3: Reason.FAILED, 4: Reason.MISSING}
    assert found.counts.duplicate_answers == 1
    assert [(row["kind"], row["answer"]) for row in found.extra] == [(ExtraKind.DUPLICATE, "late")]


@pytest.mark.parametrize(
    ("first", "later", "reason"),
    [("cut", "busy", "truncated"), ("busy", "cut", "truncated"), ("cut", "wrong", "failed")],
)
def test_a_row_that_was_busy_when_it_was_sent_again_keeps_the_reason_that_needs_a_person(
    night, first, later, reason
):
    row = {"ticket": "t", "request": a_request()}
    fates = {
        "cut": answered(row, "half", 1, finish="MAX_TOKENS"),
        "busy": failed(row),
        "wrong": failed(row, INVALID),
    }
    night.add_input([row])
    night.add_output(0, [fates[first]])
    night.add_output(1, [fates[later]])
    [found] = night.deliver().exceptions
    assert found["reason"] == reason
    assert Decimal(found["cost_usd"]) > 0


def test_one_of_equal_rows_that_is_sent_again_is_answered_in_its_place(night):
    asked = [{"request": a_request()}] * 2
    night.add_input(asked)
    night.add_output(0, [failed(asked[0]), answered(asked[0], "first", 1)])
    night.add_output(1, [answered(asked[0], "second", 2)])
    assert by_row(night.deliver(key="")) == {1: "first", 2: "second"}


def test_rows_that_a_resumed_job_copied_are_neither_duplicates_nor_paid_twice(night):
    asked = rows("a", "b")
    night.add_input(asked)
    night.add_output(0, [answered(asked[0], "once", 1), failed(asked[1])])
    once = night.deliver().counts.cost_usd
    night.add_output(1, [answered(asked[0], "once", 1), answered(asked[1], "again", 2)], resumes=True)
    found = night.deliver()
    assert by_row(found) == {1: "once", 2: "again"}
    assert (found.counts.copied_rows, found.counts.duplicate_answers) == (1, 0)
    assert found.counts.cost_usd == 2 * once


def test_rows_that_were_sent_again_are_paid_again_whatever_their_response_ids(night):
    asked = rows("a", "b")
    night.add_input(asked)
    night.add_output(0, [answered(row, "cut", n, finish="MAX_TOKENS") for n, row in enumerate(asked)])
    night.add_output(1, [answered(row, "cut", n, finish="MAX_TOKENS") for n, row in enumerate(asked)])
    counts = night.deliver().counts
    assert (counts.copied_rows, counts.exceptions) == (0, {Reason.TRUNCATED: 2})
    assert counts.cost_usd == sum(bill.total.amount for bill in night.bills)


def test_a_round_may_resume_one_of_its_own_jobs(night):
    asked = rows("a", "b")
    night.add_input(asked)
    night.add_output(0, [failed(row) for row in asked])
    night.add_output(1, [answered(asked[0], "once", 1)])
    once = night.deliver().counts.cost_usd
    night.add_output(1, [answered(asked[0], "once", 1), answered(asked[1], "again", 2)], resumes=True)
    found = night.deliver()
    assert by_row(found) == {1: "once", 2: "again"}
    assert (found.counts.copied_rows, found.counts.cost_usd) == (1, 2 * once)


def test_an_input_line_that_is_not_json_is_named_as_such(night):
    asked = rows("a", "b")
    night.add_input([asked[0], b'{"ticket": "b", "request": ', asked[1]])
    night.add_output(0, [answered(asked[0], "yes", 1)])
    messages = {row["row"]: row["message"] for row in night.deliver().exceptions}
    assert messages == {2: "the input line is not a JSON object", 3: "no output has a row for it"}


def test_a_response_id_alone_does_not_make_an_answer_a_copy(night):
    asked = rows("a", "b")
    night.add_input(asked)
    night.add_output(0, [answered(asked[0], "one", 1), failed(asked[1])])
    night.add_output(1, [answered(asked[1], "two", 1)], resumes=True)
    assert by_row(night.deliver()) == {1: "one", 2: "two"}


def test_a_retried_row_costs_what_all_of_its_attempts_cost(night):
    asked = rows("a")
    night.add_input(asked)
    night.add_output(0, [answered(asked[0], "cut sho", 1, finish="MAX_TOKENS")])
    night.add_output(1, [answered(asked[0], "whole", 2)])
    found = night.deliver()
    assert Decimal(found.answers[0]["cost_usd"]) == sum(bill.total.amount for bill in night.bills)


def test_extra_rows_are_reported_and_never_dropped(night):
    asked = rows("a")
    night.add_input(asked)
    strange = answered(rows("z", text="never asked")[0], "?", 9)
    night.add_output(
        0, [answered(asked[0], "yes", 1), answered(asked[0], "again", 2), strange, b'{"status": "']
    )
    found = night.deliver()
    assert found.counts.extra_rows == dict.fromkeys(ExtraKind, 1)
    assert {row["kind"]: row["answer"] for row in found.extra} == {
        ExtraKind.DUPLICATE: "again",
        ExtraKind.UNKNOWN: "?",
        ExtraKind.UNREADABLE: None,
    }
    assert found.extra[-1]["output_line"] == 4
    assert found.counts.cost_complete is False


def test_every_exception_says_why_and_where_its_row_is(night):
    asked = rows(*"abcdefgh")
    night.add_input([b"", *asked])
    odd = {**answered(asked[4], "?"), "response": an_answer("?")}
    odd["response"]["usageMetadata"]["promptTokenCount"] = -1
    night.add_output(
        0,
        [
            failed(asked[0], BUSY),
            failed(asked[1], INVALID),
            answered(asked[2], "cut sh", finish="MAX_TOKENS"),
            answered(asked[3], "", finish="SAFETY"),
            odd,
            {**asked[5], "prediction": {"score": 1}},
            answered(asked[6], ""),
        ],
    )
    found = night.deliver()
    assert [row["reason"] for row in found.exceptions] == [
        Reason.TRANSIENT,
        Reason.FAILED,
        Reason.TRUNCATED,
        Reason.BLOCKED,
        Reason.UNREADABLE,
        Reason.UNRECOGNIZED,
        Reason.NO_ANSWER,
        Reason.MISSING,
    ]
    first = found.exceptions[0]
    assert first["message"] == "RESOURCE_EXHAUSTED: Quota exceeded."
    assert (first["input_file"], first["input_line"]) == (night.inputs[0], 2)
    assert first["output_file"].endswith("predictions.jsonl")
    assert first["output_line"] == 1
    assert found.exceptions[2]["answer"] == "cut sh", "it was paid for"
    assert found.exceptions[7]["message"] == "no output has a row for it"


def test_an_answer_that_violates_the_schema_says_where(night):
    asked = rows("a", "b", "c", "d")
    night.add_input(asked)
    texts = ['{"tags": ["x"]}', '{"tags": ["x", 5]}', "Here you are: {}", '```json\n{"tags": []}\n```']
    night.add_output(
        0, [answered(row, text, n) for n, (row, text) in enumerate(zip(asked, texts, strict=True))]
    )
    schema = {"type": "object", "properties": {"tags": {"type": "array", "items": {"type": "string"}}}}
    found = night.deliver(answer="json", schema=schema)
    assert by_row(found) == {1: {"tags": ["x"]}, 4: {"tags": []}}
    assert reasons(found) == {2: Reason.SCHEMA, 3: Reason.NOT_JSON}
    assert found.exceptions[0]["schema_path"] == "/tags/1"
    assert '"string"' in found.exceptions[0]["message"]


def test_embeddings_are_lists_of_numbers(night):
    asked = [{"key": "a", "request": {"content": {"parts": [{"text": "Boat"}]}}}]
    night.add_input(asked)
    response = {"tokenCount": "2", "embedding": {"values": [0.25, -1, 3e-7]}}
    night.add_output(0, [{"key": "a", "request": asked[0]["request"], "response": response}])
    found = night.deliver(key="key")
    assert found.answers[0]["answer"] == [0.25, -1.0, 3e-7]


@pytest.mark.parametrize("empty", [None, "", "  "])
@pytest.mark.parametrize(
    "answer",
    [
        {"predictions": [an_answer("it is")]},
        {"prediction": an_answer("it is")},
        {"prediction": json.dumps(an_answer("it is"))},
    ],
)
def test_an_answer_is_delivered_from_the_member_that_was_billed(night, empty, answer):
    row = {"ticket": "T", "request": a_request()}
    night.add_input([row])
    night.add_output(0, [{"ticket": "T", "response": empty, **answer}])
    assert night.bills[0].rows.ok == 1
    assert by_row(night.deliver()) == {1: "it is"}


def test_the_key_of_a_text_embedding_is_echoed_inside_its_instance(night):
    asked = [{"id": "a", "content": "Boat"}, {"id": "b", "content": "Sail"}]
    night.add_input(asked)
    made = [
        {
            "instance": row,
            "status": "",
            "predictions": [{"embeddings": {"statistics": {"token_count": 1}, "values": [float(n)]}}],
        }
        for n, row in enumerate(asked)
    ]
    night.add_output(0, made[::-1])
    assert by_row(night.deliver(key="id")) == {1: [0.0], 2: [1.0]}
    assert by_row(night.deliver(key="")) == {1: [0.0], 2: [1.0]}


def test_unicode_keys_and_texts_arrive_unchanged(night):
    keys = ["Zürich", "e\u0301", "é", "😀", "\u2028", 'say "x"', "a\\u0041", " "]
    asked = rows(*keys)
    night.add_input(asked)
    night.add_output(0, [answered(row, f"→ {row['ticket']}", n) for n, row in enumerate(asked)][::-1])
    found = night.deliver()
    assert [row["key"] for row in found.answers] == keys
    assert [row["answer"] for row in found.answers] == [f"→ {key}" for key in keys]


def test_rows_of_8_mb_pass_in_bounded_memory(night):
    big = "x" * (8 << 20)
    asked = [{"ticket": f"t{n}", "request": a_request(big)} for n in range(4)]
    night.add_input(asked)
    night.add_output(0, [answered(row, f"{big}{n}", n) for n, row in enumerate(asked)][::-1])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with night.join() as joined:
        assert joined.counts.delivered == 4
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 450
    found = night.deliver()
    assert [row["answer"][-1] for row in found.answers] == ["0", "1", "2", "3"]


def test_large_fields_that_are_carried_over_pass_in_bounded_memory(night):
    big = "x" * (1 << 20)
    night.add_input([{**row, "document": big} for row in rows(*map(str, range(300)))])
    night.add_output(0, [answered(row, row["ticket"]) for row in rows(*map(str, range(300)))])
    with night.join(keep=("document",)) as joined:
        sizes = []
        query = joined.connection.sql(QUERIES["answers"][0]).to_arrow_reader(20_000)
        for batch in query:
            sizes += [sum(part.column("kept_size").to_pylist()) for part in parts_of(batch)]
    assert sum(sizes) >= 300 << 20
    assert max(sizes) < 20 << 20


def test_compressed_inputs_are_read(night):
    asked = rows("a", "b")
    path = night.root / "in.jsonl.gz"
    path.write_bytes(gzip.compress(lines_of(asked)))
    night.inputs.append(str(path))
    night.add_output(0, [answered(row, row["ticket"]) for row in asked])
    assert by_row(night.deliver()) == {1: "a", 2: "b"}


def test_a_damaged_input_is_an_error_and_not_fewer_rows(night):
    path = night.root / "in.jsonl.gz"
    path.write_bytes(gzip.compress(lines_of(rows("a", "b")))[:-9])
    night.inputs.append(str(path))
    with pytest.raises(InputUnusableError, match=r"ends too early|damaged"), night.join():
        pass


def test_a_job_without_output_leaves_its_rows_missing(night):
    night.add_input(rows("a", "b"))
    night.add_output(0)
    assert reasons(night.deliver()) == {1: Reason.MISSING, 2: Reason.MISSING}


def test_an_output_that_was_removed_is_an_error_since_its_rows_were_paid_for(night):
    night.add_input(rows("a"))
    night.add_output(0, [])
    (next(night.root.glob("out-0/*")) / "predictions.jsonl").unlink()
    with pytest.raises(OutputMissingError), night.join():
        pass


@pytest.mark.parametrize("key", ["ticket", "request.labels.ticket"])
def test_answers_to_an_input_that_was_replaced_are_counted_wherever_the_key_is(night, key):
    def a_row(number, text):
        labels = {"ticket": f"T{number}"}
        return {**labels, "request": {**a_request(f"{text} {number}"), "labels": labels}}

    sent = [a_row(1, "old"), a_row(2, "old"), a_row(3, "same")]
    night.add_input([a_row(1, "new"), a_row(2, "new"), a_row(3, "same")])
    night.add_output(0, [{**row, "response": an_answer("yes", n)} for n, row in enumerate(sent)])
    counts = night.deliver(key=key).counts
    assert (counts.checked_prompts, counts.other_prompts) == (3, 2)


@pytest.mark.parametrize("key", ["", "ticket"])
@pytest.mark.parametrize("depth", [300, 600, 900])
def test_a_row_that_is_nested_too_deeply_does_not_stop_the_others(night, key, depth):
    deep = b'{"a": ' * depth + b'{"text": "x"}' + b"}" * depth
    night.add_input([b'{"ticket": "deep", "request": ' + deep + b"}", *rows("a")])
    night.add_output(0, [answered(rows("a")[0], "yes")])
    found = night.deliver(key=key)
    assert by_row(found) == {2: "yes"}
    assert reasons(found) == {1: Reason.MISSING}


def test_rows_without_the_key_are_joined_by_their_request(night):
    asked = [{"ticket": "a", "request": a_request("one")}, {"request": a_request("two")}]
    night.add_input(asked)
    night.add_output(0, [answered(row, "yes", n) for n, row in enumerate(asked)])
    assert by_row(night.deliver()) == {1: "yes", 2: "yes"}


def test_fields_of_the_input_are_carried_over(night):
    row = {"ticket": "a", "customer": {"id": 7}, "opened": "2026-11-01", "request": a_request()}
    night.add_input([row])
    night.add_output(0, [answered(row, "yes")])
    (found,) = night.deliver(keep=("customer.id", "customer", "opened", "none")).answers
    assert (found["customer.id"], found["customer"], found["opened"], found["none"]) == (
        7,
        {"id": 7},
        "2026-11-01",
        None,
    )


def test_the_database_is_removed_with_the_join(night):
    night.add_input(rows("a"))
    night.add_output(0, [answered(rows("a")[0], "yes")])
    with night.join() as joined:
        assert joined.work.exists()
    assert not joined.work.exists()


def test_without_duckdb_the_message_says_what_to_install(night, monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    night.add_input(rows("a"))
    with pytest.raises(Exception, match=r"airflow-vertex-batch\[results\]"), night.join():
        pass


def test_the_echo_of_the_builder_is_not_the_request_as_it_was_sent():
    request = a_request("x", temperature=1)
    assert json.dumps(echoed(request)) != json.dumps(request)
