"""From HTTP to the service and back: routes, tokens, the faults of a call, and the log."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request as HttpRequest
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from .connections import Dropped
from .envelope import ApiError, envelope_of_http, html_page
from .schema import parse_job
from .script import Fault, FaultKind, JobFacts, Operation
from .service import Request, Service
from .tokens import GrantRefusedError
from .world import Call, World

_JOBS = "/{version}/projects/{project}/locations/{location}/batchPredictionJobs"
_OPERATIONS = "/{version}/projects/{project}/locations/{location}/operations/{target}"
_VERSIONS = ("v1", "v1beta1")
# Google's own REST client polls operations under /ui, as its service definition says.
_OPERATION_VERSIONS = (*_VERSIONS, "ui")

Handler = Callable[[HttpRequest], Awaitable[Response]]
_PROXY_PATHS = {
    "/model/info",
    "/public/litellm_model_cost_map",
    "/health/readiness",
    "/health/readiness/details",
    "/key/info",
    "/v2/user/info",
    "/spend/logs/v2",
}


class GoogleResponse(Response):
    """JSON as Google sends it: indented, in UTF-8."""

    media_type = "application/json; charset=UTF-8"

    def render(self, content: object) -> bytes:
        return msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"


class Wire:
    """The HTTP side of the emulated service."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._service = Service(world)

    def routes(self) -> list[Route]:
        """The routes of the service. ``:cancel`` comes first, since a job id would swallow it."""
        methods: list[tuple[str, str, Operation]] = [
            ("POST", _JOBS + "/{target}:cancel", Operation.CANCEL),
            ("POST", _JOBS, Operation.CREATE),
            ("GET", _JOBS, Operation.LIST),
            ("GET", _JOBS + "/{target}", Operation.GET),
            ("DELETE", _JOBS + "/{target}", Operation.DELETE),
            ("GET", _OPERATIONS, Operation.GET_OPERATION),
        ]
        # google-auth asks in the background where a service account may be used; "0x0" is anywhere.
        trust = "/v1/projects/-/serviceAccounts/{email}/allowedLocations"
        return [
            *(Route(path, self._endpoint(op), methods=[verb]) for verb, path, op in methods),
            Route("/token", self._token, methods=["POST"]),
            Route(trust, self._allowed_locations, methods=["GET"]),
        ]

    async def not_found(self, request: HttpRequest, _error: Exception) -> Response:
        """The answer to a path that Google does not have, and to the proxy's if this stands for the proxy."""
        if self._world.is_proxy and request.url.path in _PROXY_PATHS:
            return JSONResponse({"detail": "Not Found"}, 404)
        return HTMLResponse(html_page(404, request.url.path), 404)

    async def _allowed_locations(self, _request: HttpRequest) -> Response:
        return GoogleResponse({"locations": [], "encodedLocations": "0x0"})

    def _endpoint(self, op: Operation) -> Handler:
        versions = _OPERATION_VERSIONS if op is Operation.GET_OPERATION else _VERSIONS

        async def endpoint(http: HttpRequest) -> Response:
            if http.path_params["version"] not in versions:
                return HTMLResponse(html_page(404, http.url.path), 404)
            request = Request(
                op=op,
                version=http.path_params["version"],
                project=http.path_params["project"],
                location=http.path_params["location"],
                target=http.path_params.get("target", ""),
                params=dict(http.query_params),
                host=http.headers.get("host", ""),
                body=await http.body(),
            )
            call = self._world.log(op, http.method, str(http.url.path), request.host)
            call.job_id = request.target
            response = await self._guarded(request, http.headers.get("authorization", ""), call)
            return self._closed(call, response)

        return endpoint

    async def _guarded(self, request: Request, authorization: str, call: Call) -> Response:
        try:
            self._world.tokens.check(authorization)
        except ApiError as error:
            return _error(error)

        async def carry_out() -> Response:
            try:
                answer = self._service.answer(request)
            except ApiError as error:
                return _error(error)
            if request.op is Operation.CREATE:
                call.job_id = answer["name"].rpartition("/")[2]
            return GoogleResponse(answer)

        return await self._with_fault(request.op, self._facts(request), call, carry_out)

    async def _token(self, http: HttpRequest) -> Response:
        form = dict(parse_qsl((await http.body()).decode(errors="replace")))
        call = self._world.log(Operation.TOKEN, http.method, "/token", http.headers.get("host", ""))

        async def carry_out() -> Response:
            try:
                return JSONResponse(self._world.tokens.grant(form))
            except GrantRefusedError as error:
                return JSONResponse({"error": error.error, "error_description": error.description}, 400)

        return self._closed(call, await self._with_fault(Operation.TOKEN, None, call, carry_out))

    def _facts(self, request: Request) -> JobFacts | None:
        """What the job of a call looks like, for the faults that are limited to some jobs."""
        try:
            if request.op is Operation.CREATE:
                return JobFacts.of(parse_job(request.version, request.body))
            job = self._service.job(request)
        except ApiError:
            return None
        return job.facts if job else None

    async def _with_fault(
        self, op: Operation, facts: JobFacts | None, call: Call, carry_out: Callable[[], Awaitable[Response]]
    ) -> Response:
        fault = self._world.faults.draw(op, facts)
        if fault is None:
            return await carry_out()
        call.fault = fault.kind.value
        self._world.notice.changed()
        await asyncio.sleep(fault.seconds)
        answer = await carry_out() if fault.takes_effect else None
        if fault.kind is FaultKind.HOLD:
            hold = await self._world.faults.hold(op, call.job_id, stored=fault.takes_effect)
            return Dropped() if hold.reset else answer or await carry_out()
        return _broken(fault, answer, call.path)

    def _closed(self, call: Call, response: Response) -> Response:
        call.status = 0 if isinstance(response, Dropped) else response.status_code
        call.seconds = monotonic() - call.started
        self._world.notice.changed()
        return response


def _error(error: ApiError) -> Response:
    return GoogleResponse(error.body(), error.http_status)


def _broken(fault: Fault, answer: Response | None, path: str) -> Response:
    """What a client gets of a call with a fault. ``answer`` is the real one, where the call took effect."""
    headers = dict(fault.headers)
    json_type = GoogleResponse.media_type
    match fault.kind:
        case FaultKind.RESET_BEFORE | FaultKind.RESET_AFTER:
            response: Response = Dropped()
        case FaultKind.HTML:
            response = HTMLResponse(html_page(fault.status, path), fault.status, headers)
        case FaultKind.MALFORMED:
            response = Response("<<< not json >>>", 200, headers, json_type)
        case FaultKind.EMPTY:
            response = Response(b"", 200, headers, json_type)
        case FaultKind.TRUNCATED if answer is not None:
            half = bytes(answer.body)[: len(answer.body) // 2]
            response = Response(half, answer.status_code, headers, json_type)
        case FaultKind.DELAY if answer is not None:
            response = answer
        case _:
            body = envelope_of_http(fault.status, fault.grpc_status, fault.message)
            response = GoogleResponse(body, fault.status, headers)
    return response
