"""Every row of what the proxy and Google were seen to answer."""

from __future__ import annotations

import json

import pytest

from vertex_batch.errors import (
    AccessRefusedError,
    AdminKeyRequiredError,
    AmbiguousSubmitError,
    BadKeyError,
    FailedPreconditionError,
    FieldAddedError,
    InternalServerError,
    InvalidArgumentError,
    KeyBudgetExceededError,
    ModelNotAllowedError,
    NoCredentialError,
    NotFoundError,
    Operation,
    OwnerBlockedError,
    PermissionDeniedError,
    ProxyInternalError,
    ProxyRateLimitError,
    ResourceExhaustedError,
    RouteNotAllowedError,
    RouteNotFoundError,
    ServiceUnavailableError,
    UnexpectedAnswerError,
    UpstreamUnreachableError,
    VertexBatchError,
)
from vertex_batch.vertex.client.answers import interpret
from vertex_batch.vertex.client.requests import ApiRequest

GET = ApiRequest(Operation.GET, "GET", "/x", "demo-project/us-central1/17")
BODY = {"displayName": "nightly", "modelParameters": {"maxOutputTokens": 8}, "labels": {"team": "search"}}
CREATE = ApiRequest(Operation.CREATE, "POST", "/x", "demo-project/us-central1", json=BODY)
OWN_TABLES = [
    Operation.MODEL_INFO,
    Operation.PRICE_MAP,
    Operation.SPEND_LOGS,
    Operation.USER_INFO,
    Operation.KEY_INFO,
    Operation.READINESS,
]


def google(code: int, status: str, message: str = "said Google", **more) -> bytes:
    return json.dumps({"error": {"code": code, "message": message, "status": status, **more}}).encode()


def proxy(code: int | None, kind: str, message: str = "said the proxy") -> bytes:
    error = {"message": message, "type": kind, "param": None, "code": str(code)}
    return json.dumps({"error": error if code else {"message": message, "type": kind}}).encode()


def detail(message: str) -> bytes:
    return json.dumps({"detail": message}).encode()


HTML = (
    b"<!DOCTYPE html><title>Error 404 (Not Found)!!1</title><style>p{}</style><p>That\xe2\x80\x99s an error."
)
UNREACHABLE = (
    "Cannot connect to host 127.0.0.1:9199 ssl:<ssl.SSLContext object at 0x7f> [Connect call failed]"
)
ROUTE = "Virtual key is not allowed to call this route. Only allowed to call routes: ['/chat/completions']."
CREDENTIAL = (
    "No Vertex AI credential is configured on this proxy and the request carried no upstream credential."
)
REJECTED = "Authentication Error, Rejected Request: api_base is not allowed in request body. Enable with ..."
LIMIT = (
    "litellm.RateLimitError: Rate limit exceeded for api_key: 0a1b. Limit resets at: 2026-11-22 17:41:09 UTC"
)

PREFIX = "Authentication Error, "
ADMIN = (
    "Only proxy admin can be used to generate, delete, update info for new keys/users/teams."
    " Route=/spend/logs/v2. Your role=internal_user. Your user_id=***"
)
# LiteLLM's 401 of type auth_error, whose words alone say what is wrong.
AUTH_ERRORS = [
    ("No api key passed in.", BadKeyError),
    ("Malformed API Key passed in. Ensure Key has `Bearer ` prefix.", BadKeyError),
    ("Key is blocked. Update via `/key/unblock` if you're an admin.", BadKeyError),
    ("Invalid proxy server token passed. valid_token=None.", BadKeyError),
    (ADMIN, AdminKeyRequiredError),
    ("Tried to access route=/global/spend/reset, which is only for MASTER KEY", AdminKeyRequiredError),
    ("Team=search-1 is blocked. Update via `/team/unblock` if you're an admin.", OwnerBlockedError),
    ("Project=p-1 is blocked. Update via `/project/update` if you're an admin.", OwnerBlockedError),
    (
        "User=ina has been deactivated via SCIM. Keys owned by this user cannot be used.",
        OwnerBlockedError,
    ),
    ("'user' param not passed in. 'enforce_user_param'=True", AccessRefusedError),
    ("Invalid JWT Submitted", AccessRefusedError),
    ("something that a later version says", AccessRefusedError),
]
VIRTUAL_KEY = "LiteLLM Virtual Key expected. Received=abcd****wxyz, expected to start with 'sk-'."

# status, body, what a read raises, whether a create would be ambiguous
TABLE = [
    # Google's own, relayed
    (400, google(400, "INVALID_ARGUMENT"), InvalidArgumentError, False),
    (400, google(400, "FAILED_PRECONDITION"), FailedPreconditionError, False),
    (400, google(400, "OUT_OF_RANGE"), InvalidArgumentError, False),
    (401, google(401, "UNAUTHENTICATED"), PermissionDeniedError, False),
    (403, google(403, "PERMISSION_DENIED"), PermissionDeniedError, False),
    (404, google(404, "NOT_FOUND"), NotFoundError, False),
    (404, b"[" + google(404, "NOT_FOUND") + b"]", NotFoundError, False),
    (404, google(404, "NOT_FOUND", litellm_call_id="c-1"), NotFoundError, False),
    (409, google(409, "ALREADY_EXISTS"), InvalidArgumentError, False),
    (409, google(409, "ABORTED"), ServiceUnavailableError, False),
    (429, google(429, "RESOURCE_EXHAUSTED"), ResourceExhaustedError, False),
    (499, google(499, "CANCELLED"), ServiceUnavailableError, True),
    (500, google(500, "INTERNAL"), InternalServerError, True),
    (501, google(501, "UNIMPLEMENTED"), InternalServerError, True),
    (502, google(502, "UNAVAILABLE"), ServiceUnavailableError, True),
    (503, google(503, "UNAVAILABLE"), ServiceUnavailableError, False),
    (503, google(500, "INTERNAL"), ServiceUnavailableError, True),
    (504, google(504, "DEADLINE_EXCEEDED"), ServiceUnavailableError, True),
    # upstream did not answer: the proxy's 500
    (500, proxy(500, "internal_server_error", UNREACHABLE), UpstreamUnreachableError, True),
    (500, proxy(500, "internal_server_error", "Server disconnected"), UpstreamUnreachableError, True),
    (500, proxy(500, "internal_server_error", ""), UpstreamUnreachableError, True),
    (500, proxy(None, "internal_server_error", "Internal server error"), UpstreamUnreachableError, True),
    (500, b"Internal Server Error", UpstreamUnreachableError, True),
    (503, proxy(503, "no_db_connection", "Service Unavailable, the ..."), ServiceUnavailableError, True),
    # the proxy's own
    *((401, proxy(401, "auth_error", PREFIX + words), kind, False) for words, kind in AUTH_ERRORS),
    (401, proxy(401, "auth_error", VIRTUAL_KEY), BadKeyError, False),
    (400, proxy(400, "no_db_connection", "No connected db."), BadKeyError, False),
    (401, proxy(401, "token_not_found_in_db", "Received API Key = sk-...7c28"), BadKeyError, False),
    (401, proxy(401, "expired_key"), BadKeyError, False),
    (400, proxy(400, "expired_key"), BadKeyError, False),
    (403, detail(ROUTE), RouteNotAllowedError, False),
    (
        403,
        proxy(403, "auth_error", "Key/team not allowed to access passthrough route"),
        RouteNotAllowedError,
        False,
    ),
    (403, proxy(403, "key_model_access_denied"), ModelNotAllowedError, False),
    (401, proxy(401, "team_model_access_denied"), ModelNotAllowedError, False),
    (422, proxy(422, "budget_exceeded"), KeyBudgetExceededError, False),
    (429, proxy(429, "budget_exceeded"), KeyBudgetExceededError, False),
    (
        400,
        proxy(400, "auth_error", "Budget has been exceeded! Current cost: 2.5"),
        KeyBudgetExceededError,
        False,
    ),
    (429, proxy(429, "throttling_error", LIMIT), ProxyRateLimitError, False),
    (401, detail(CREDENTIAL), NoCredentialError, False),
    (404, detail("Not Found"), RouteNotFoundError, False),
    (405, detail("Method Not Allowed"), RouteNotFoundError, False),
    (400, proxy(400, "invalid_request_error"), InvalidArgumentError, False),
    (401, proxy(401, "auth_error", REJECTED), InvalidArgumentError, False),
    (422, b'{"detail":[{"loc":["body"],"msg":"bad"}]}', InvalidArgumentError, False),
    # a server in between
    (404, HTML, UnexpectedAnswerError, False),
    (404, b"{}", UnexpectedAnswerError, False),
    (404, b"", UnexpectedAnswerError, False),
    (404, b'{"error": {"message": "x"}}', UnexpectedAnswerError, False),
    (400, b"<html>The plain HTTP request was sent to HTTPS port", UnexpectedAnswerError, False),
    (401, b"", AccessRefusedError, False),
    (401, HTML, AccessRefusedError, False),
    (405, b"", UnexpectedAnswerError, False),
    (404, b'{"error": {"code": 404, "mess', UnexpectedAnswerError, False),
    (403, HTML, UnexpectedAnswerError, False),
    (408, b"", ServiceUnavailableError, True),
    (413, HTML, InvalidArgumentError, False),
    (429, b"slow down", ProxyRateLimitError, False),
    (500, HTML, InternalServerError, True),
    (502, HTML, ServiceUnavailableError, True),
    (503, b"", ServiceUnavailableError, True),
    (503, b'{"error": {"code": 503, "mess', ServiceUnavailableError, True),
    (503, b'{"error": "unavailable"}', ServiceUnavailableError, True),
    (504, b"[[[[", ServiceUnavailableError, True),
    (520, b"", ServiceUnavailableError, True),
    (301, b"", RouteNotFoundError, False),
    (308, b"", RouteNotFoundError, False),
    (302, b"", UnexpectedAnswerError, True),
    (303, b"", UnexpectedAnswerError, True),
    # a success that is none
    (200, b"", UnexpectedAnswerError, True),
    (200, HTML, UnexpectedAnswerError, True),
    (200, b'{"name": "projects/1/loc', UnexpectedAnswerError, True),
    (200, b"[]", UnexpectedAnswerError, True),
    (200, b"null", UnexpectedAnswerError, True),
    (200, b"[" * 100_000, UnexpectedAnswerError, True),
    (204, b"", UnexpectedAnswerError, True),
]


def raised(request: ApiRequest, status: int, body: bytes, **headers: str) -> VertexBatchError:
    with pytest.raises(VertexBatchError) as caught:
        interpret(request, status, {n.replace("_", "-"): v for n, v in headers.items()}, body)
    return caught.value


@pytest.mark.parametrize(("status", "body", "kind", "_ambiguous"), TABLE)
def test_each_answer_has_its_error(status, body, kind, _ambiguous):
    error = raised(GET, status, body)
    assert type(error) is kind
    assert error.http_status == status
    assert error.target == GET.target


@pytest.mark.parametrize(("status", "body", "kind", "ambiguous"), TABLE)
def test_a_create_is_ambiguous_unless_the_answer_proves_that_nothing_was_made(status, body, kind, ambiguous):
    error = raised(CREATE, status, body)
    assert type(error) is (AmbiguousSubmitError if ambiguous else kind)
    if ambiguous:
        assert type(error.__cause__) is kind
        assert kind.what in str(error)
        assert "may have been created" in str(error)
    else:
        assert "Nothing was submitted." in str(error)


@pytest.mark.parametrize("operation", OWN_TABLES)
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, proxy(500, "internal_server_error", "relation does not exist")),
        (500, b"Internal Server Error"),
        (503, proxy(503, "no_db_connection", "Service Unavailable, the authentication database ...")),
        (503, b'{"status": "healthy", "db": "disconnected"}'),
        (502, HTML),
    ],
)
def test_a_fault_of_the_proxys_own_tables_is_not_blamed_on_google(operation, status, body):
    error = raised(ApiRequest(operation, "GET", "/x", "http://litellm:4000"), status, body)
    assert type(error) is ProxyInternalError
    assert "no answer from Google" not in str(error)
    assert "Google was not involved" in str(error)


def test_every_operation_is_either_relayed_or_of_the_proxys_own_tables():
    assert [each for each in Operation if not each.is_answered_by_google] == OWN_TABLES


def unknown_field(*names: str) -> bytes:
    words = "; ".join(
        f"Unknown name \"{name}\" at 'batch_prediction_job': Cannot find field." for name in names
    )
    return google(400, "INVALID_ARGUMENT", f"Invalid JSON payload received. {words}")


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["max_tokens"], FieldAddedError),
        (["max_tokens", "metadata"], FieldAddedError),
        (["displayName"], InvalidArgumentError),
        (["team"], InvalidArgumentError),
        (["max_tokens", "maxOutputTokens"], InvalidArgumentError),
        ([], InvalidArgumentError),
    ],
)
def test_a_field_that_was_not_sent_is_the_proxys(names, kind):
    error = raised(CREATE, 400, unknown_field(*names))
    assert type(error) is kind
    assert ("below 4,096" in str(error)) is (kind is FieldAddedError)


def test_the_limit_that_made_the_proxy_add_a_field_is_named():
    error = raised(CREATE, 400, unknown_field("max_tokens"), x_litellm_key_tpm_limit="1000")
    assert "the key has tpm_limit 1000" in str(error)
    error = raised(CREATE, 400, unknown_field("max_tokens"), x_litellm_key_tpm_limit="None")
    assert "the key has" not in str(error)


@pytest.mark.parametrize(
    ("body", "is_said"),
    [(proxy(401, "auth_error", PREFIX + ADMIN), False), (proxy(401, "expired_key"), True), (b"", False)],
)
def test_only_a_sure_sign_is_called_a_key_that_is_not_accepted(body, is_said):
    error = raised(GET, 401, body)
    assert ("does not accept the LiteLLM key" in str(error)) is is_said


def test_google_s_words_and_names_are_kept():
    error = raised(GET, 429, google(429, "RESOURCE_EXHAUSTED", "Quota exceeded"), x_litellm_call_id="0d5e-1")
    assert (error.status, error.message, error.call_id) == ("RESOURCE_EXHAUSTED", "Quota exceeded", "0d5e-1")


def test_html_is_shown_as_its_text():
    assert raised(GET, 404, HTML).message == "Error 404 (Not Found)!!1 That\u2019s an error."


def test_a_redirect_names_its_goal_without_a_key():
    error = raised(GET, 301, b"", location="https://litellm.example/?key=sk-secret-123")
    assert "https://litellm.example/?key=***" in str(error)


def test_an_unknown_proxy_message_that_is_no_text_is_shown():
    assert (
        '{"error": "x"}'
        in raised(GET, 401, b'{"error":{"message":{"error":"x"},"type":"auth_error"}}').message
    )


@pytest.mark.parametrize(
    ("headers", "message", "seconds"),
    [
        ({"retry_after": "7"}, "", 7.0),
        ({"Retry_After": "0"}, "", 0.0),
        ({"retry_after": "1.5"}, "", 1.5),
        ({"retry_after": "-3"}, "", None),
        ({"retry_after": "inf"}, "", None),
        ({"retry_after": "soon"}, "", None),
        (
            {"retry_after": "Sun, 22 Nov 2026 17:41:09 GMT", "date": "Sun, 22 Nov 2026 17:41:00 GMT"},
            "",
            9.0,
        ),
        (
            {"retry_after": "Sun, 22 Nov 2026 17:41:09 GMT", "date": "Sun, 22 Nov 2026 18:00:00 GMT"},
            "",
            0.0,
        ),
        ({"retry_after": "Sun, 22 Nov 2026 17:41:09 GMT"}, "", None),
        ({"date": "Sun, 22 Nov 2026 17:40:39 GMT"}, LIMIT, 30.0),
        ({"date": "nonsense"}, LIMIT, None),
        ({"date": "Sun, 22 Nov 2026 17:40:39 GMT"}, LIMIT.replace("11-22", "99-99"), None),
        ({}, "", None),
    ],
)
def test_how_long_to_wait_is_read_from_the_header_or_from_litellm_s_message(headers, message, seconds):
    error = raised(GET, 429, proxy(429, "throttling_error", message), **headers)
    assert error.retry_after_seconds == seconds
