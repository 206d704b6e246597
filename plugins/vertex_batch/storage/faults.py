"""Map the exceptions of an object store to our errors: permanent or transient, and what to change.

A bug is not mapped. gcsfs raises, according to its source (2026.10): a bare ``OSError("Forbidden: ...")`` for
403, ``FileNotFoundError`` for 404, ``ValueError("Bad Request: ...")`` if the message has the word "invalid",
``ValueError("Bucket is requester pays...")``, `gcsfs.retry.HttpError` with a code for the rest, and the
errors of aiohttp, requests and google-auth unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from vertex_batch.errors import (
    ENVIRONMENT,
    InputChangedError,
    StorageAccessError,
    StorageRefusedError,
    StorageUnavailableError,
    VertexBatchError,
)

_HTTP_ERROR = "gcsfs.retry.HttpError"
# By name, so that none of these libraries is imported here.
_OF_THE_STORE = frozenset(
    {
        _HTTP_ERROR,
        "gcsfs.retry.ChecksumError",
        "gcsfs.retry.NonRetryableError",
        "aiohttp.client_exceptions.ClientError",
        "requests.exceptions.RequestException",
        "google.auth.exceptions.GoogleAuthError",
        "google.api_core.exceptions.GoogleAPIError",
        "fsspec.exceptions.FSTimeoutError",
        "json.decoder.JSONDecodeError",
    }
)
_CREDENTIALS = frozenset(
    {"google.auth.exceptions.DefaultCredentialsError", "google.auth.exceptions.RefreshError"}
)
_REFUSED_VALUES = ("Bad Request:", "Bucket is requester pays")
_REQUESTER_PAYS = ("requester pays", "userprojectmissing", "no user project")
_KMS = ("kms", "cryptokey")
_MAY_PASS = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})


@contextmanager
def named(uri: str, conn_id: str, *, writes: bool = False) -> Iterator[None]:
    """Translate the object store's exceptions into our errors.

    :param uri: the object or folder in use, for messages.
    :param conn_id: the connection, for messages; `ENVIRONMENT` if the store was opened without one.
    :param writes: the object is written, moved or removed.
    :raises StorageAccessError: the connection has no access.
    :raises StorageRefusedError: the store refuses the request until something is changed.
    :raises StorageUnavailableError: the store failed; a retry may succeed.
    :raises FileNotFoundError: unchanged; the caller knows whether the object has to exist.
    """
    try:
        yield
    except (FileNotFoundError, VertexBatchError):
        raise
    except Exception as error:
        fault = fault_of(error, uri, conn_id, writes=writes)
        if fault is None:
            raise
        raise fault from error


@contextmanager
def named_read(uri: str, conn_id: str) -> Iterator[None]:
    """As `named`, for an object that was listed before: if it is gone, the input has changed.

    :raises InputChangedError: the object was deleted or overwritten after it was listed.
    """
    try:
        with named(uri, conn_id):
            yield
    except FileNotFoundError as error:
        raise InputChangedError([uri]) from error


def fault_of(error: Exception, uri: str, conn_id: str, *, writes: bool = False) -> VertexBatchError | None:
    """Classify an exception that was raised while the store was used; None if it is a bug."""
    text = str(error) or type(error).__name__
    if not _is_of_the_store(error, text):
        return None
    lower, code = text.lower(), _code(error)
    if any(words in lower for words in _REQUESTER_PAYS):
        return StorageRefusedError(uri, conn_id, text, _requester_pays(uri, conn_id))
    if any(word in lower for word in _KMS) and (code in range(400, 500) or isinstance(error, ValueError)):
        return StorageRefusedError(uri, conn_id, text, _KEY_REMEDY)
    if isinstance(error, PermissionError) or code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return StorageAccessError(uri, conn_id, text, writes=writes)
    if remedy := _remedy(error, code, conn_id):
        return StorageRefusedError(uri, conn_id, text, remedy)
    return StorageUnavailableError(uri, f"{type(error).__name__}: {text}", writes=writes)


def _is_of_the_store(error: Exception, text: str) -> bool:
    if isinstance(error, ValueError):
        return text.startswith(_REFUSED_VALUES) or bool(_kinds(error) & _OF_THE_STORE)
    return isinstance(error, OSError) or bool(_kinds(error) & _OF_THE_STORE)


def _kinds(error: Exception) -> set[str]:
    return {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__}


def _code(error: Exception) -> int:
    """The HTTP status; 0 if there is none."""
    if type(error) is OSError and str(error).startswith("Forbidden"):
        return HTTPStatus.FORBIDDEN
    code = getattr(error, "code", None) or getattr(error, "status", None)
    return int(code) if isinstance(code, int) or (isinstance(code, str) and code.isdecimal()) else 0


_KEY_REMEDY = (
    "Enable the Cloud KMS key that encrypts the object, or write the object again with another key. Check"
    " that Vertex AI's service agent may use the key as well."
)


def _requester_pays(uri: str, conn_id: str) -> str:
    bucket = uri.partition("://")[2].partition("/")[0] or uri
    setting = f"the extra `gcs.requester-pays` of connection {conn_id}"
    if conn_id == ENVIRONMENT:  # fsspec reads the options of every file system from such variables
        setting = "the environment variable FSSPEC_GCS_REQUESTER_PAYS"
    return (
        f"Set {setting} to the project that pays, or turn off"
        f" requester pays: gcloud storage buckets update gs://{bucket} --no-requester-pays. Vertex reads"
        " and writes the bucket with its own service agent, so turning it off is the safe choice."
    )


def _remedy(error: Exception, code: int, conn_id: str) -> str:
    """What to change after any other refusal; empty if a retry may succeed."""
    if _kinds(error) & _CREDENTIALS and not getattr(error, "retryable", False):
        login = "gcloud auth application-default login."
        if conn_id == ENVIRONMENT:
            return f"Run {login}"
        return f"Set valid credentials in connection {conn_id}, or run {login}"
    refused = str(error).startswith(_REFUSED_VALUES) or (code in range(400, 500) and code not in _MAY_PASS)
    return "Check the URI and the bucket's settings." if refused else ""
