"""The batchPredictionJobs service: what each call does, without the wire and without faults."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .catalogue import LOCATIONS, Place, host_location
from .envelope import ApiError, bad_request
from .filters import compile_filter
from .jobs import Job, format_time
from .rules import check_job
from .schema import camel, parse_job
from .script import Listing, Operation
from .states import wire_name
from .world import World

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000

# Parameters that every Google API takes; the rest has to be one of the method.
_COMMON = """
    $alt $prettyPrint $.xgafv access_token alt callback fields key oauth_token
    prettyPrint quotaUser uploadType upload_protocol
"""
_COMMON_PARAMETERS = frozenset(_COMMON.split())
_UNKNOWN_PARAMETER = (
    'Invalid JSON payload received. Unknown name "{0}": Cannot bind query parameter. '
    "Field '{0}' could not be found in request message."
)
_LIST_PARAMETERS = frozenset({"filter", "pageSize", "pageToken", "readMask"})
_VERBS = {Operation.GET_OPERATION: "get"}


@dataclass(frozen=True)
class Request:
    """One call, as the wire layer read it. ``target`` is the job's or the operation's id."""

    op: Operation
    version: str
    project: str
    location: str
    target: str
    params: Mapping[str, str]
    host: str
    body: bytes


class Service:
    """Carries calls out against the world. Every method gives the JSON of a 200, or raises `ApiError`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def place(self, request: Request) -> Place:
        """Find the project and the location that a path names, by id or by number.

        :raises ApiError: PERMISSION_DENIED for a project that is not ours; INVALID_ARGUMENT for a location
            that does not exist or is not the one of the host.
        """
        for project_id, number in self._world.projects.items():
            if request.project in (project_id, number):
                break
        else:
            kind = "operations" if request.op is Operation.GET_OPERATION else "batchPredictionJobs"
            permission = f"aiplatform.{kind}.{_VERBS.get(request.op, request.op.value)}"
            resource = f"projects/{request.project}/locations/{request.location}"
            raise ApiError(
                "PERMISSION_DENIED",
                f"Permission '{permission}' denied on resource '//aiplatform.googleapis.com/{resource}' "
                "(or it may not exist).",
            )
        served = host_location(request.host)
        if request.location not in LOCATIONS or (served is not None and served != request.location):
            shown = f"'{served}'" if served is not None else "any region of Vertex AI"
            raise ApiError(
                "INVALID_ARGUMENT",
                f"The request's location '{request.location}' does not match {shown}: resources have to be "
                "accessed through the endpoint of their own location.",
            )
        return Place(project_id, number, request.location)

    def job(self, request: Request) -> Job | None:
        """The job that a call is about, where there is one."""
        return self._world.find(self.place(request), request.target) if request.target else None

    def answer(self, request: Request) -> dict[str, Any]:
        """Carry a call out."""
        place = self.place(request)
        _check_parameters(request)
        if request.op is Operation.CREATE:
            return self._create(request, place)
        if request.op is Operation.LIST:
            return self._list(request, place)
        if request.op is Operation.GET_OPERATION:
            return self._operation(request.target, place)
        job = self._world.find(place, request.target)
        if job is None:
            name = f"{place.parent}/batchPredictionJobs/{request.target}"
            raise ApiError("NOT_FOUND", f"The BatchPredictionJob {name} does not exist.")
        if request.op is Operation.GET:
            return self._view(job, request)
        return self._cancel(job, request) if request.op is Operation.CANCEL else self._delete(job)

    def _create(self, request: Request, place: Place) -> dict[str, Any]:
        body = parse_job(request.version, request.body)
        check_job(body)
        return self._view(self._world.create(request.version, place, body), request)

    def _list(self, request: Request, place: Place) -> dict[str, Any]:
        params = {camel(name): value for name, value in request.params.items()}
        text = params.get("filter", "")
        test = compile_filter(text)
        size = _page_size(params.get("pageSize", ""))
        before = _read_token(params.get("pageToken", ""), text)
        found = (job for job in self._world.visible(place, before) if test(job.listed()))
        page = [job for _, job in zip(range(size + 1), found, strict=False)]
        answer: dict[str, Any] = {}
        if any(job.scenario.listing is Listing.FAILS for job in page[:size]):
            raise ApiError("INTERNAL", "Internal error encountered.")
        if page:
            answer["batchPredictionJobs"] = [
                _masked(self._entry(job, request), params.get("readMask", "")) for job in page[:size]
            ]
        if len(page) > size:
            answer["nextPageToken"] = _write_token(page[size - 1].number, text)
        return answer

    def _cancel(self, job: Job, request: Request) -> dict[str, Any]:
        try:
            body = json.loads(request.body or b"{}")
        except ValueError:
            body = None
        if body != {}:
            text = "Invalid JSON payload received. The body of a cancel call is an empty object."
            raise ApiError("INVALID_ARGUMENT", text, [bad_request([("", text)])])
        state = wire_name(job.state)
        if self._world.lives[job.id].cancel() != 200:  # noqa: PLR2004
            raise ApiError(
                "FAILED_PRECONDITION",
                f"The BatchPredictionJob {job.name} cannot be cancelled in state {state}.",
            )
        return {}

    def _delete(self, job: Job) -> dict[str, Any]:
        if not job.is_terminal:
            raise ApiError(
                "FAILED_PRECONDITION",
                f"The BatchPredictionJob {job.name} cannot be deleted in state {wire_name(job.state)}.",
            )
        return self._operation(self._world.delete(job), job.place, done=False)

    def _operation(self, operation_id: str, place: Place, *, done: bool = True) -> dict[str, Any]:
        """The operation that deletes a job: running when it is handed out, done when it is asked for."""
        name = f"{place.parent}/operations/{operation_id}"
        time = self._world.operations.get(operation_id)
        if time is None:
            raise ApiError("NOT_FOUND", f"The Operation {name} does not exist.")
        shown = format_time(time, self._world.settings.time_digits)
        operation: dict[str, Any] = {
            "name": name,
            "metadata": {
                "@type": "type.googleapis.com/google.cloud.aiplatform.v1.DeleteOperationMetadata",
                "genericMetadata": {"createTime": shown, "updateTime": shown},
            },
        }
        if done:
            operation |= {"done": True, "response": {"@type": "type.googleapis.com/google.protobuf.Empty"}}
        return operation

    def _entry(self, job: Job, request: Request) -> dict[str, Any]:
        view = self._view(job, request)
        return view | {"createTime": "soon"} if job.scenario.listing is Listing.UNREADABLE else view

    def _view(self, job: Job, request: Request) -> dict[str, Any]:
        numeric = "enum-encoding=int" in request.params.get("$alt", "")
        return job.view(self._world.settings.time_digits, numeric_enums=numeric)


def _check_parameters(request: Request) -> None:
    own = _LIST_PARAMETERS if request.op is Operation.LIST else frozenset()
    unknown = [name for name in request.params if name not in _COMMON_PARAMETERS and camel(name) not in own]
    violations = [("", _UNKNOWN_PARAMETER.format(name)) for name in unknown]
    if violations:
        text = "\n".join(description for _, description in violations)
        raise ApiError("INVALID_ARGUMENT", text, [bad_request(violations)])


def _page_size(text: str) -> int:
    try:
        size = int(text or 0)
    except ValueError:
        size = -1
        problem = f"Invalid value at 'page_size' (TYPE_INT32), \"{text}\""
    else:
        problem = "page_size must not be negative."
    if size < 0:
        raise ApiError("INVALID_ARGUMENT", problem, [bad_request([("page_size", problem)])])
    return min(size, MAX_PAGE_SIZE) or DEFAULT_PAGE_SIZE


def _write_token(number: int, filter_text: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([number, filter_text]).encode()).decode()


def _read_token(token: str, filter_text: str) -> int | None:
    """The number after which the next page begins. A token is good for the filter it was made for."""
    if not token:
        return None
    try:
        number, made_for = json.loads(base64.urlsafe_b64decode(token))
    except (ValueError, TypeError):
        number, made_for = 0, None
    if made_for != filter_text:
        raise ApiError("INVALID_ARGUMENT", "The page token is invalid.")
    return int(number)


def _masked(view: dict[str, Any], mask: str) -> dict[str, Any]:
    wanted = {camel(path.strip().partition(".")[0]) for path in mask.split(",")} - {""}
    return (
        {key: value for key, value in view.items() if key in wanted} if wanted and "*" not in wanted else view
    )
