"""The two clients: they send, wait and resend. Requests are built, and answers read, elsewhere."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from typing import Any, Self, TypeVar

import httpx
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential_jitter,
)

from vertex_batch import __version__
from vertex_batch.errors import (
    ApiError,
    Operation,
    ProxyRateLimitError,
    ResourceExhaustedError,
    TransientError,
    quoted,
)
from vertex_batch.vertex.client.answers import (
    JsonObject,
    Page,
    fail_in_transport,
    interpret,
    next_token,
    read_job,
    read_models,
    read_nothing,
    read_object,
    read_page,
    read_page_leniently,
    read_spend,
)
from vertex_batch.vertex.client.config import ProxyConfig
from vertex_batch.vertex.client.requests import ApiRequest, RequestBuilder
from vertex_batch.vertex.client.spend import SpendReading
from vertex_batch.vertex.client.versions import find_version, note_version, warn_of_malicious
from vertex_batch.vertex.resource import BatchPredictionJob, CreateJobRequest

T = TypeVar("T")
Read = Callable[[ApiRequest, Any], T]
Models = list[JsonObject]

log = logging.getLogger(__name__)
_LONG_WAIT_SECONDS = 5.0
_BACKOFF = wait_exponential_jitter(initial=0.5, max=15, jitter=0.5)


def _http_options(config: ProxyConfig) -> dict[str, Any]:
    return {
        "base_url": config.base_url,
        "headers": {
            "Authorization": f"Bearer {config.api_key}",
            "Accept": "application/json",
            "User-Agent": f"airflow-vertex-batch/{__version__}",
        },
        "timeout": httpx.Timeout(config.timeout_seconds, connect=config.connect_timeout_seconds),
        "verify": config.tls(),
        # A redirect would send the request, and perhaps the key, to a server that was not configured.
        "follow_redirects": False,
    }


def _retry_options(config: ProxyConfig) -> dict[str, Any]:
    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = getattr(error, "retry_after_seconds", None) or 0.0
        return min(max(_BACKOFF(state), asked), config.max_retry_wait_seconds)

    return {
        "retry": retry_if_exception_type(TransientError),
        "stop": stop_after_attempt(config.max_tries),
        "wait": wait,
        "before_sleep": _log_wait,
        "reraise": True,
    }


class _Client:
    """What both clients do before a request is sent, and after it was answered."""

    def __init__(self, config: ProxyConfig) -> None:
        self.config = config
        self.proxy_version = ""  # from the last answer that contained it
        self._build = RequestBuilder(config)

    def _answer(self, request: ApiRequest, response: httpx.Response, read: Read[T]) -> T:
        self.proxy_version = note_version(response.headers, self.config.base_url) or self.proxy_version
        secret = self.config.api_key
        answer = interpret(request, response.status_code, response.headers, response.content, secret=secret)
        return read(request, answer)


class BatchClient(_Client):
    """Vertex AI batch prediction jobs through a LiteLLM proxy.

    Every method raises only `vertex_batch.errors`. A create is sent exactly once. Every other call is
    repeated a few times while its error is transient, with growing pauses that respect ``Retry-After``.
    Connections are kept open, so use one client for many calls, and close it.
    """

    def __init__(self, config: ProxyConfig) -> None:
        super().__init__(config)
        self._http = httpx.Client(**_http_options(config))
        self._retrying = Retrying(**_retry_options(config))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def create(self, project: str, location: str, request: CreateJobRequest) -> BatchPredictionJob:
        """Submit a job, with exactly one POST: Vertex has no idempotency key, so a repeat may pay twice.

        :param project: the project *id* that the proxy has a credential for.
        :raises AmbiguousSubmitError: a job may have been created; look for it before sending another.
        """
        return self._call(self._build.create(project, location, request), read_job)

    def get(self, project: str, location: str, job_id: str) -> BatchPredictionJob:
        return self._call(self._build.get(project, location, job_id), read_job)

    def list(
        self,
        project: str,
        location: str,
        *,
        filter: str = "",  # noqa: A002 - the API's own name for it
        page_size: int = 100,
    ) -> Iterator[BatchPredictionJob]:
        """Read jobs, page by page as they are needed.

        If the list breaks off, it raises; it is never silently cut short. A job may be missing from the list
        for some time after it was created.

        :param filter: Vertex's grammar, such as ``state="JOB_STATE_RUNNING" AND labels.team="search"``.
        """
        token, seen = "", set[str]()
        while True:
            request = self._build.list(project, location, filter, page_size, token)
            page: Page = self._call(request, read_page)
            yield from page.jobs
            if not (token := next_token(request, page, seen)):
                return

    def cancel(self, project: str, location: str, job_id: str) -> None:
        """Request a cancel from Vertex. The job has ended only once its state is terminal.

        :raises FailedPreconditionError: the job has already ended.
        """
        self._call(self._build.cancel(project, location, job_id), read_nothing)

    def model_info(self) -> Models:
        """Read the proxy's models and their prices, as far as the key may see them."""
        return self._call(self._build.of_proxy(Operation.MODEL_INFO, "/model/info"), read_models)

    def price_map(self) -> JsonObject:
        """Read the proxy's public price map: some 2 MB, model name -> prices."""
        path = "/public/litellm_model_cost_map"
        return self._call(self._build.of_proxy(Operation.PRICE_MAP, path), read_object)

    def spend_logs(self, since: datetime, until: datetime) -> Iterator[JsonObject]:
        """Read every row that the proxy has recorded for batches, with one page in memory at a time.

        The proxy keeps such rows only with a database. To a key without an admin's role it shows only those
        of the key's user.
        """
        reading = SpendReading(since, until)
        for window in reading.windows():
            page = self._call(self._build.spend_logs(window.since, window.until, window.page), read_spend)
            yield from reading.new_rows(window, page)

    def user_info(self) -> JsonObject:
        """Read the user of the key, with `user_role`."""
        return self._call(self._build.of_proxy(Operation.USER_INFO, "/v2/user/info"), read_object)

    def key_info(self) -> JsonObject:
        """Read the proxy's record of the key: its budget, spend and expiry, without the key."""
        return self._call(self._build.of_proxy(Operation.KEY_INFO, "/key/info"), read_object)

    def readiness(self, *, details: bool) -> JsonObject:
        """Read whether the proxy is ready.

        :param details: include its version, which it shows only to admins.
        """
        path = "/health/readiness/details" if details else "/health/readiness"
        return self._call(self._build.of_proxy(Operation.READINESS, path), read_object)

    def _call(self, request: ApiRequest, read: Read[T]) -> T:
        if request.may_repeat:
            # A copy, since tenacity keeps the state of a call in the object.
            result: T = self._retrying.copy()(self._once, request, read)
            return result
        return self._once(request, read)

    def _once(self, request: ApiRequest, read: Read[T]) -> T:
        try:
            response = self._http.request(
                request.method, request.path, params=request.params, json=request.json
            )
        except httpx.HTTPError as error:
            fail_in_transport(request, self.config.base_url, error, self.config.api_key)
        return self._answer(request, response, read)


def try_proxy(client: BatchClient, project: str, location: str) -> None:
    """List one job, as a submission does first, and warn if the proxy runs a malicious release.

    :raises ApiError: the address, key, route, project or location is wrong, or a server is unavailable.
    """
    next(client.list(project, location, page_size=1), None)
    warn_of_malicious(client.config.base_url, find_version(client))


class AsyncBatchClient(_Client):
    """What a trigger needs of `BatchClient`, for an event loop: with the same errors and retries."""

    def __init__(self, config: ProxyConfig) -> None:
        super().__init__(config)
        self._http = httpx.AsyncClient(**_http_options(config))
        self._retrying = AsyncRetrying(**_retry_options(config))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def get(self, project: str, location: str, job_id: str) -> BatchPredictionJob:
        return await self._call(self._build.get(project, location, job_id), read_job)

    async def pages(
        self,
        project: str,
        location: str,
        *,
        filter: str = "",  # noqa: A002 - the API's own name for it
        page_size: int = 100,
    ) -> AsyncIterator[Page]:
        """List jobs, page by page as they are needed; see `BatchClient.list`.

        An entry that is not a job is set aside in its page, and does not end the list.
        """
        token, seen = "", set[str]()
        while True:
            request = self._build.list(project, location, filter, page_size, token)
            page: Page = await self._call(request, read_page_leniently)
            yield page
            if not (token := next_token(request, page, seen)):
                return

    async def cancel(self, project: str, location: str, job_id: str) -> None:
        """Request a cancel from Vertex; see `BatchClient.cancel`."""
        await self._call(self._build.cancel(project, location, job_id), read_nothing)

    async def _call(self, request: ApiRequest, read: Read[T]) -> T:
        if request.may_repeat:
            result: T = await self._retrying.copy()(self._once, request, read)
            return result
        return await self._once(request, read)

    async def _once(self, request: ApiRequest, read: Read[T]) -> T:
        try:
            response = await self._http.request(
                request.method, request.path, params=request.params, json=request.json
            )
        except httpx.HTTPError as error:
            fail_in_transport(request, self.config.base_url, error, self.config.api_key)
        return self._answer(request, response, read)


def _log_wait(state: RetryCallState) -> None:
    """Log one line per wait: how long, for which call, and why.

    A limit is logged as a warning, since a person can raise it; a long wait for another reason as INFO.
    """
    error = state.outcome.exception() if state.outcome else None
    if not isinstance(error, ApiError):
        return
    seconds = state.next_action.sleep if state.next_action else 0.0
    level = logging.INFO if seconds >= _LONG_WAIT_SECONDS else logging.DEBUG
    if isinstance(error, ProxyRateLimitError | ResourceExhaustedError):
        level = logging.WARNING
    message = f": {quoted(error.message)}" if error.message else ""
    log.log(
        level,
        "Waiting %.1f s before %s of %s is sent again (try %d): %s%s",
        seconds,
        error.operation,
        error.target,
        state.attempt_number + 1,
        error.what,
        message,
    )
