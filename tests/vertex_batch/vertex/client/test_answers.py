from __future__ import annotations

import json
import pickle

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vertex_batch.errors import AmbiguousSubmitError, Operation, UnexpectedAnswerError, VertexBatchError
from vertex_batch.vertex.client.answers import interpret, read_job, read_models, read_page
from vertex_batch.vertex.client.requests import ApiRequest

LIST = ApiRequest(Operation.LIST, "GET", "/x", "demo-project/us-central1")
CREATE = ApiRequest(Operation.CREATE, "POST", "/x", "demo-project/us-central1")
NAME = "projects/100000000001/locations/us-central1/batchPredictionJobs/17"
KEY = 'proxy-Key"7=\\4'

texts = st.one_of(
    st.text(), st.builds(lambda a, b: a + KEY + b, st.text(), st.text()), st.just("Bearer " + KEY)
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=8,
)
envelopes = st.builds(
    lambda error, wrapped: [{"error": error}] if wrapped else {"error": error},
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("code", "status", "type", "message", "detail"), values)
    ),
    st.booleans(),
)
bodies = st.one_of(
    st.binary(max_size=200),
    st.builds(lambda a, b: a + KEY.encode() + b, st.binary(max_size=50), st.binary(max_size=50)),
    st.one_of(values, envelopes, st.builds(lambda v: {"detail": v}, values)).map(
        lambda value: json.dumps(value).encode()
    ),
    st.one_of(values, envelopes).map(
        lambda value: json.dumps(value, ensure_ascii=False).encode(errors="replace")
    ),
)
headers = st.dictionaries(
    st.sampled_from(["retry-after", "Date", "x-litellm-call-id", "location", "content-type"]),
    texts,
    max_size=4,
)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(Operation), st.integers(200, 599), headers, bodies)
@example(Operation.GET, 500, {}, KEY.encode())
@example(Operation.GET, 400, {"location": KEY, "x-litellm-call-id": KEY}, b"")
@example(Operation.CREATE, 200, {}, b"<p>" + KEY.encode())
def test_interpret_raises_nothing_but_our_errors_and_leaks_no_key(operation, status, headers, body):
    request = ApiRequest(operation, "GET", "/x", "demo-project/us-central1")
    try:
        answer = interpret(request, status, headers, body, secret=KEY)
    except VertexBatchError as caught:
        error = caught
    else:
        assert status < 300
        assert isinstance(answer, dict)
        return
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    seen: BaseException | None = error
    while seen is not None:
        shown = f"{seen} {seen!r} {vars(seen)}"
        assert KEY not in shown
        assert json.dumps(KEY)[1:-1] not in str(seen)
        seen = seen.__cause__


@given(values.filter(lambda value: isinstance(value, dict)))
def test_reading_a_page_gives_jobs_or_an_unexpected_answer(answer):
    try:
        page = read_page(LIST, answer)
    except UnexpectedAnswerError:
        return
    assert len(page.jobs) == len(answer.get("batchPredictionJobs") or ())


def test_an_empty_object_is_an_empty_page():
    assert read_page(LIST, {}).jobs == ()


def test_a_page_may_be_empty_and_have_a_next_one():
    assert read_page(LIST, {"nextPageToken": "t"}).next_token == "t"


@pytest.mark.parametrize(
    "answer",
    [
        {"error": {"code": 500}},
        {"detail": "maintenance"},
        {"status": "ok"},
        {"unreachable": ["us-central1"]},
        {"batchPredictionJobs": {}},
        {"batchPredictionJobs": [], "nextPageToken": 3},
        {"batchPredictionJobs": [{"displayName": "no name"}]},
        {"batchPredictionJobs": [{"name": NAME + "/"}]},
        {"batchPredictionJobs": ["x"]},
    ],
)
def test_what_is_no_page_is_never_taken_for_an_empty_one(answer):
    with pytest.raises(UnexpectedAnswerError):
        read_page(LIST, answer)


@pytest.mark.parametrize(
    "answer", [{}, {"name": ""}, {"name": NAME, "createTime": "yesterday"}, {"error": {}}]
)
def test_a_create_whose_answer_is_no_job_is_ambiguous(answer):
    with pytest.raises(AmbiguousSubmitError, match="not a job"):
        read_job(CREATE, answer)


def test_a_job_is_read():
    assert read_job(CREATE, {"name": NAME, "newField": 1}).job_id == "17"


@pytest.mark.parametrize("answer", [{}, {"data": {}}, {"data": [1]}])
def test_model_info_must_hold_a_list_of_models(answer):
    with pytest.raises(UnexpectedAnswerError):
        read_models(ApiRequest(Operation.MODEL_INFO, "GET", "/model/info", "http://litellm"), answer)
