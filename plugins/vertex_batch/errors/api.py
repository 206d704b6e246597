"""A call through the proxy failed: one class for each remedy."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar

from vertex_batch.errors.base import (
    MESSAGE_MAX_CHARS,
    PermanentError,
    SettingsSource,
    TransientError,
    VertexBatchError,
    quoted,
    scrub,
)


class Operation(StrEnum):
    """A call to the proxy."""

    CREATE = "create"
    GET = "get"
    LIST = "list"
    CANCEL = "cancel"
    MODEL_INFO = "model_info"
    PRICE_MAP = "price_map"
    SPEND_LOGS = "spend_logs"
    USER_INFO = "user_info"
    KEY_INFO = "key_info"
    READINESS = "readiness"

    @property
    def is_answered_by_google(self) -> bool:
        """Whether the proxy relays the call to Google. It answers the others from its own tables."""
        return self not in _OF_THE_PROXY


_OF_THE_PROXY = frozenset(
    {
        Operation.MODEL_INFO,
        Operation.PRICE_MAP,
        Operation.SPEND_LOGS,
        Operation.USER_INFO,
        Operation.KEY_INFO,
        Operation.READINESS,
    }
)
_DOING = {
    Operation.CREATE: "submit a job in {}",
    Operation.GET: "read job {}",
    Operation.LIST: "list the jobs in {}",
    Operation.CANCEL: "cancel job {}",
    Operation.MODEL_INFO: "read the proxy's models at {}",
    Operation.PRICE_MAP: "read the proxy's price map at {}",
    Operation.SPEND_LOGS: "read the proxy's spend logs at {}; it keeps them only with a database",
    Operation.USER_INFO: "read the user of the LiteLLM key at {}",
    Operation.KEY_INFO: "read what the proxy at {} knows of the LiteLLM key",
    Operation.READINESS: "read whether the proxy at {} is ready",
}
_MONEY = {
    Operation.CREATE: "Nothing was submitted.",
    Operation.CANCEL: "The job may still be running, and its finished rows are billed.",
}
_MAY_HAVE_SUBMITTED = (
    "A job may have been created. Before another is submitted, a retry searches for it by its labels."
)


class ApiError(VertexBatchError):
    """A call through the proxy failed.

    :param operation: which call, an `Operation`.
    :param target: project/location, or project/location/job.
    :param http_status: None if there was no answer.
    :param status: Google's name for the error, such as ``INVALID_ARGUMENT``, or LiteLLM's ``type``.
    :param message: the server's message, scrubbed and cut.
    :param retry_after_seconds: how long the server wants the client to wait.
    :param call_id: LiteLLM's id of the call, for a search in the proxy's log.
    :param may_have_submitted: the call was a create, and the answer does not prove that no job was created.
    :param source: where the settings in use can be changed.
    """

    what: ClassVar[str] = "the call failed"
    advice: ClassVar[str] = ""

    def __init__(
        self,
        operation: str,
        target: str = "",
        *,
        http_status: int | None = None,
        status: str = "",
        message: str = "",
        retry_after_seconds: float | None = None,
        call_id: str = "",
        may_have_submitted: bool = False,
        source: SettingsSource | None = None,
    ) -> None:
        self.operation = operation
        self.target = target
        self.http_status = http_status
        self.status = status
        self.message = scrub(message)[:MESSAGE_MAX_CHARS]
        self.retry_after_seconds = retry_after_seconds
        self.call_id = call_id
        self.may_have_submitted = may_have_submitted
        self.source = source or SettingsSource()
        super().__init__(self._explain())

    @property
    def money(self) -> str:
        """What the failure means for the bill; empty if it has no effect on it."""
        if self.may_have_submitted:
            return _MAY_HAVE_SUBMITTED
        return _MONEY.get(Operation(self.operation), "") if self.operation in _DOING else ""

    @property
    def remedy(self) -> str:
        """What to do about it, and where."""
        return self.advice.format(source=self.source)

    @property
    def outlook(self) -> str:
        """What a retry will do."""
        if isinstance(self, PermanentError):
            return "A retry fails the same way until then."
        if self.retry_after_seconds is not None:
            return f"A retry may succeed after {self.retry_after_seconds:g} s."
        return "A retry may succeed."

    def _explain(self) -> str:
        doing = _DOING[Operation(self.operation)] if self.operation in _DOING else f"{self.operation} {{}}"
        codes = " ".join(str(code) for code in (self.http_status, self.status) if code)
        heading = f"Could not {doing.format(self.target)}: {self.what}"
        heading += f" ({codes})" if codes else ""
        heading += f": {quoted(self.message)}" if self.message else ""
        call = f"LiteLLM call id: {self.call_id}." if self.call_id else ""
        heading = heading if heading.endswith('."') else f"{heading}."
        return " ".join(part for part in (heading, self.money, self.remedy, self.outlook, call) if part)


class InvalidArgumentError(ApiError, PermanentError):
    what = "the request was refused as invalid"
    advice = "Check the model, inputs, output and labels of the job, or the filter of the list."


class PermissionDeniedError(ApiError, PermanentError):
    what = "access to Vertex AI was denied"
    advice = (
        "Check that the credential which the proxy uses is valid and has the role Vertex AI User"
        " (roles/aiplatform.user) in the project; a newly enabled API needs some minutes."
    )


class NotFoundError(ApiError, PermanentError):
    what = "not found in Vertex AI"
    advice = "Check the job id, the project and the location."

    @property
    def remedy(self) -> str:
        """What to check: a job that is created has no id yet."""
        if self.operation == Operation.CREATE:
            return "Check the model's name and whether it is in this location, then the project."
        return super().remedy


class FailedPreconditionError(ApiError, PermanentError):
    """For a cancel: the job has already ended."""

    what = "the state of the job or of the project does not allow it"
    advice = "Check the job's state. An ended job cannot be cancelled; a running job cannot be deleted."

    @property
    def money(self) -> str:
        """A cancel after the job's end does not change its bill."""
        return "" if self.operation == Operation.CANCEL else super().money


class ResourceExhaustedError(ApiError, TransientError):
    what = "a Vertex AI quota is exhausted"
    advice = "Wait, submit fewer jobs at a time, or request more quota from Google for this location."


class ServiceUnavailableError(ApiError, TransientError):
    what = "the service is temporarily unavailable"
    advice = "Wait. If it persists, check the status pages of the proxy and of Google Cloud."


class InternalServerError(ApiError, TransientError):
    what = "the server reported an internal error"
    advice = "Wait. If it persists, check the proxy's log and Google Cloud's status page."


class UnexpectedAnswerError(ApiError, TransientError):
    what = "the answer is not a valid answer of the API"
    advice = (
        "Check that the LiteLLM proxy is what answers (see {source.url}), and that nothing in between"
        " rewrites answers."
    )


class BadKeyError(ApiError, PermanentError):
    what = "the proxy does not accept the LiteLLM key"
    advice = "Put a valid virtual key into {source.key}; keys expire and can be blocked."


class RouteNotAllowedError(ApiError, PermanentError):
    what = "this LiteLLM key is not allowed to call the route"
    advice = (
        "Ask the proxy's admin to add the route to the key's allowed routes. If it is a pass-through route of"
        " the proxy's own, it belongs in `allowed_passthrough_routes` of the key or team."
    )


class ModelNotAllowedError(ApiError, PermanentError):
    what = "this LiteLLM key is not allowed to use the model"
    advice = (
        "Ask the proxy's admin to allow the model for the key exactly as the job names it, such as"
        " `publishers/google/models/*`."
    )


class KeyBudgetExceededError(ApiError, PermanentError):
    what = "the budget of the LiteLLM key, its user or its team is exhausted"
    advice = (
        "Ask the proxy's admin to raise or reset the budget. Until then, this key can neither read nor cancel"
        " jobs: those that run continue, and Google bills them."
    )


class ProxyRateLimitError(ApiError, TransientError):
    what = "the proxy's rate limit for this key was reached"
    advice = "Wait, poll less often, or ask the proxy's admin for a higher limit."

    @property
    def outlook(self) -> str:
        """What a retry will do; an `rpm_limit` of 1 stops every submission."""
        if self.operation != Operation.CREATE:
            return super().outlook
        return (
            f"{super().outlook} A submission needs two requests within one window of the limit: it searches"
            " for the job, then creates it. With an `rpm_limit` of 1 it never succeeds."
        )


class NoCredentialError(ApiError, PermanentError):
    what = "the proxy has no Vertex credential for this project and location"
    advice = (
        "Check the project (the id, not the number) and the location, or ask the proxy's admin to add a"
        " model with this vertex_project and vertex_location and `use_in_pass_through: true`. The LiteLLM"
        " key is valid."
    )


class RouteNotFoundError(ApiError, PermanentError):
    what = "the route does not exist"
    advice = (
        "Check {source.url}, and {source.route_prefix}. `/vertex_ai/v1` is built into the proxy; `/v1` needs"
        " a pass-through route in the proxy's configuration."
    )


class UpstreamUnreachableError(ApiError, TransientError):
    what = "the proxy got no answer from Google"
    advice = "Wait. If it persists, check the proxy's network, its Vertex credential and its log."


class ProxyUnreachableError(ApiError, TransientError):
    """No request was sent: connection refused, unknown host, TLS failure."""

    what = "the proxy cannot be reached"
    advice = "Check that it is running, and {source.url}."


class AnswerLostError(ApiError, TransientError):
    """The request was sent, but no answer arrived, or only a part of it."""

    what = "the connection broke or timed out before the whole answer arrived"
    advice = "Check the proxy's log, and {source.timeout}."


class AmbiguousSubmitError(ApiError, TransientError):
    """It is unknown whether the job was created. Never send it again before reading the list."""

    what = "its outcome is unknown"
    advice = "Do not submit the job by hand before you have searched for it."

    def __init__(self, operation: str = Operation.CREATE, target: str = "", **facts: Any) -> None:
        super().__init__(operation, target, **{**facts, "may_have_submitted": True})

    @property
    def outlook(self) -> str:
        """What a retry will do."""
        return "A retry searches first and resumes the job if it exists."


class StillRunningError(TransientError):
    """A job that this run may not cancel has not ended, so it cannot be billed yet.

    :param job: project/location/job.
    :param state: the state last read.
    """

    def __init__(self, job: str, state: str) -> None:
        self.job, self.state = job, state
        super().__init__(
            f"Job {job} is {state}. This run did not submit it and only waits for it, so it was not"
            " cancelled. Nothing was recorded. Its finished rows are billed. A retry checks again; run this"
            " again once the job has ended."
        )


class CancelNotConfirmedError(TransientError):
    """A cancel was requested, but the job has not ended yet.

    :param job: project/location/job.
    :param state: the state last read.
    """

    def __init__(self, job: str, state: str, waited_seconds: float) -> None:
        self.job, self.state, self.waited_seconds = job, state, waited_seconds
        super().__init__(
            f"A cancel of job {job} was requested, but it is {state} after {waited_seconds:g} s. It may still"
            " be running, and its finished rows are billed. Check it in the Google Cloud console. A retry"
            " requests the cancel again."
        )
