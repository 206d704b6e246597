"""Build the requests of both clients. Nothing here uses the network."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote

from vertex_batch.errors import ConfigurationError, Operation, SettingsSource
from vertex_batch.vertex.client.config import ProxyConfig
from vertex_batch.vertex.resource import CreateJobRequest

# The most that LiteLLM gives per page of spend logs.
SPEND_PAGE_ROWS = 1000
_SPEND_TIME = "%Y-%m-%d %H:%M:%S"
_PROJECT_ID = re.compile(r"([a-z][a-z0-9.-]*:)?[a-z][a-z0-9-]{4,28}[a-z0-9]", re.ASCII)
_LOCATION = re.compile(r"[a-z][a-z0-9-]{0,62}", re.ASCII)
_RESOURCE_ID = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One call. It does not contain the key, which the client adds.

    :param path: below the base URL, quoted.
    :param target: the object of the call, for messages.
    :param source: where the settings it was built from can be changed, for messages.
    """

    operation: Operation
    method: str
    path: str
    target: str
    params: Mapping[str, str] = field(default_factory=dict)
    json: Mapping[str, object] | None = None
    source: SettingsSource = field(default_factory=SettingsSource)

    @property
    def may_repeat(self) -> bool:
        """Whether it may be sent again after a failure. Not a create, which could cost twice, nor a probe."""
        return self.operation not in {Operation.CREATE, Operation.READINESS}


class RequestBuilder:
    """Builds every call from validated parts, so that no input can change the path of the URL.

    Every method raises `ConfigurationError` for an invalid project, location or id. A project *number*, which
    Google writes into a job's ``name``, is refused: the proxy finds its credential by the project id.
    """

    def __init__(self, config: ProxyConfig) -> None:
        self._config = config

    def create(self, project: str, location: str, job: CreateJobRequest) -> ApiRequest:
        path, target = self._parent(project, location)
        body = job.to_wire()
        try:
            json.dumps(body, allow_nan=False, ensure_ascii=False).encode()
        except (TypeError, ValueError) as error:
            raise ConfigurationError(
                f"The job cannot be written as JSON: {error}. Nothing was sent."
            ) from error
        return self._request(Operation.CREATE, "POST", f"{path}/batchPredictionJobs", target, json=body)

    def get(self, project: str, location: str, job_id: str) -> ApiRequest:
        path, target = self._job(project, location, job_id)
        return self._request(Operation.GET, "GET", path, target)

    def list(self, project: str, location: str, query: str, page_size: int, page_token: str) -> ApiRequest:
        path, target = self._parent(project, location)
        if page_size < 1:
            raise ConfigurationError(f"page_size is {page_size}; use 1 or more. Nothing was sent.")
        try:
            query.encode()
        except UnicodeEncodeError as error:
            raise ConfigurationError(
                f"The filter {query!r} cannot be encoded as UTF-8: {error}. Nothing was sent."
            ) from error
        params = {"filter": query, "pageSize": str(page_size), "pageToken": page_token}
        params = {name: value for name, value in params.items() if value}
        return self._request(Operation.LIST, "GET", f"{path}/batchPredictionJobs", target, params=params)

    def cancel(self, project: str, location: str, job_id: str) -> ApiRequest:
        path, target = self._job(project, location, job_id)
        return self._request(Operation.CANCEL, "POST", f"{path}:cancel", target, json={})

    def of_proxy(
        self, operation: Operation, path: str, params: Mapping[str, str] | None = None
    ) -> ApiRequest:
        """A question to the proxy itself."""
        return self._request(operation, "GET", path, self._config.base_url, params=params)

    def spend_logs(self, since: datetime, until: datetime, page: int) -> ApiRequest:
        params = {
            "start_date": f"{since.astimezone(UTC):{_SPEND_TIME}}",
            "end_date": f"{until.astimezone(UTC):{_SPEND_TIME}}",
            "span_type": "batch",
            "sort_order": "asc",
            "page": str(page),
            "page_size": str(SPEND_PAGE_ROWS),
        }
        return self.of_proxy(Operation.SPEND_LOGS, "/spend/logs/v2", params)

    def _request(
        self,
        operation: Operation,
        method: str,
        path: str,
        target: str,
        *,
        params: Mapping[str, str] | None = None,
        json: Mapping[str, object] | None = None,
    ) -> ApiRequest:
        return ApiRequest(operation, method, path, target, params or {}, json, self._config.source)

    def _parent(self, project: str, location: str) -> tuple[str, str]:
        _check("project id", project, _PROJECT_ID)
        _check("location", location, _LOCATION)
        path = f"/projects/{quote(project, safe='')}/locations/{quote(location, safe='')}"
        return self._config.route_prefix + path, f"{project}/{location}"

    def _job(self, project: str, location: str, job_id: str) -> tuple[str, str]:
        path, target = self._parent(project, location)
        _check("job id", job_id, _RESOURCE_ID)
        return f"{path}/batchPredictionJobs/{quote(job_id, safe='')}", f"{target}/{job_id}"


def _check(what: str, text: str, pattern: re.Pattern[str]) -> None:
    if isinstance(text, str) and pattern.fullmatch(text):
        return
    shown = repr(text) if len(repr(text)) <= 100 else repr(text)[:100] + "..."  # noqa: PLR2004 - enough for a message
    hint = ""
    if isinstance(text, str) and pattern is _PROJECT_ID and text.isdecimal():
        hint = " It looks like a project number; the proxy knows its projects by id."
    elif isinstance(text, str) and pattern is _RESOURCE_ID and "/" in text:
        hint = " Use only the last part of the resource name."
    raise ConfigurationError(f"{shown} is not a valid {what}.{hint} Nothing was sent.")
