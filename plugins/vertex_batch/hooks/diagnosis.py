"""The check behind the Test button of the connection form, and its messages."""

from __future__ import annotations

import ssl
from itertools import islice

import httpx

from vertex_batch.errors import (
    AccessRefusedError,
    ApiError,
    BadKeyError,
    NoCredentialError,
    ProxyUnreachableError,
    RouteNotAllowedError,
    RouteNotFoundError,
    VertexBatchError,
    count_of,
    quoted,
)
from vertex_batch.hooks.connection import ProxySettings
from vertex_batch.vertex.client import BatchClient, ProxyConfig, find_version
from vertex_batch.vertex.proxy_versions import malicious_notice

_COUNTED = 100


def diagnose(settings: ProxySettings) -> tuple[bool, str]:
    """Test the connection. Nothing is created and nothing costs money.

    :returns: whether it is usable, and a message for the form, without the key.
    """
    config = settings.config.with_short_timeouts(20.0, 5.0)
    try:
        with BatchClient(config) as client:
            if settings.project and settings.location:
                place = f"{settings.project}/{settings.location}"
                answer = f"OK: {count_jobs(client, settings.project, settings.location)} visible in {place}."
            else:
                answer = _try_proxy(client)
            notice = malicious_notice(config.base_url, find_version(client))
    except VertexBatchError as error:
        return False, explain(error, settings)
    if notice:
        return False, f"{notice}. Otherwise: {answer}"
    if settings.unknown_extras:
        answer += f" Unknown extras were ignored: {', '.join(settings.unknown_extras)}."
    return True, answer


def count_jobs(client: BatchClient, project: str, location: str) -> str:
    """Ask for one page of jobs, and return how many it has, in words."""
    seen = len(list(islice(client.list(project, location, page_size=_COUNTED), _COUNTED)))
    return f"{seen} or more jobs" if seen == _COUNTED else count_of(seen, "job")


def _try_proxy(client: BatchClient) -> str:
    untested = (
        "The route to Vertex AI was not tested, because the connection has no default project and location"
        " (extras `project` and `location`)."
    )
    try:
        models = client.model_info()
    except RouteNotAllowedError:
        return f"OK: the proxy answers and knows the key, but does not let it read /model/info. {untested}"
    return f"OK: the proxy answers and accepts the key, which can see {len(models)} models. {untested}"


def explain(error: VertexBatchError, settings: ProxySettings) -> str:
    """Describe the failure in terms of the connection form's fields."""
    if not isinstance(error, ApiError):
        return str(error)
    config, place = settings.config, f"{settings.project}/{settings.location}"
    if isinstance(error, ProxyUnreachableError):
        return _unreachable(error, config)
    remedy = error.remedy[:1].lower() + error.remedy[1:]
    if isinstance(error, BadKeyError):
        found = "The proxy answers, but does not accept the key"
        remedy = "put a valid LiteLLM virtual key in the password field"
    elif isinstance(error, AccessRefusedError):
        found = "The proxy answers, but refuses access, and the key is not certain to be the cause"
        remedy = (
            "read the proxy's message; the key in the password field may be invalid, or its user or team may"
            " not be allowed to make this call"
        )
    elif isinstance(error, RouteNotAllowedError):
        found = "The proxy knows the key, but does not let it call the route"
    elif isinstance(error, NoCredentialError):
        found = f"The proxy accepts the key, but has no Vertex credential for {place}"
    elif isinstance(error, RouteNotFoundError):
        found = f"There is no route {config.route_prefix}/projects/... at {config.base_url}"
    else:
        return str(error)
    answer = " ".join(part for part in (str(error.http_status or ""), error.message) if part)
    return f"{found} ({quoted(answer)}). To do: {remedy.rstrip('.')}."


def _unreachable(error: ProxyUnreachableError, config: ProxyConfig) -> str:
    cause = error.__cause__
    words = error.message.removeprefix(f"{config.base_url}: ")
    if _is_tls(cause):
        remedy = (
            "check whether the URL needs http or https; for a private certificate authority, set the extra"
            " `verify` to the path of its certificate file, on every machine that runs Airflow"
        )
        return f"TLS with {config.base_url} failed ({quoted(words)}). To do: {remedy}."
    if isinstance(cause, httpx.ConnectTimeout):
        return f"{config.base_url} does not answer. To do: check the host, the port, and any firewalls."
    return (
        f"Nothing answers at {config.base_url} ({quoted(words)}). To do: check that the proxy runs, and that"
        " host and port are correct as seen from the machine that runs Airflow."
    )


def _is_tls(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError) or "SSL" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
