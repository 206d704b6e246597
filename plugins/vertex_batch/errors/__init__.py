"""One family of errors. The type says what happened, and whether a retry can help.

`PermanentError` stays until a person changes something; `TransientError` may be gone at the next try. A
message says what happened, to which object, what it means for money, what to do, and what a retry will do.
Every error keeps its arguments as attributes and pickles with them. No message ever holds a key.
"""

from __future__ import annotations

from vertex_batch.errors.api import (
    AmbiguousSubmitError,
    AnswerLostError,
    ApiError,
    BadKeyError,
    BudgetExceededError,
    CancelNotConfirmedError,
    FailedPreconditionError,
    InternalServerError,
    InvalidArgumentError,
    ModelNotAllowedError,
    NoCredentialError,
    NotFoundError,
    Operation,
    PermissionDeniedError,
    ProxyRateLimitError,
    ProxyUnreachableError,
    ResourceExhaustedError,
    RouteNotAllowedError,
    RouteNotFoundError,
    ServiceUnavailableError,
    StillRunningError,
    UnexpectedAnswerError,
    UpstreamUnreachableError,
)
from vertex_batch.errors.base import (
    ConfigurationError,
    PermanentError,
    TransientError,
    VertexBatchError,
    scrub,
)
from vertex_batch.errors.storage import (
    BucketMissingError,
    InputChangedError,
    InputMissingError,
    InputUnusableError,
    ObjectEncodedError,
    OutputMissingError,
    StagingError,
    StorageAccessError,
    StorageRefusedError,
    StorageUnavailableError,
)

__all__ = [
    "AmbiguousSubmitError",
    "AnswerLostError",
    "ApiError",
    "BadKeyError",
    "BucketMissingError",
    "BudgetExceededError",
    "CancelNotConfirmedError",
    "ConfigurationError",
    "FailedPreconditionError",
    "InputChangedError",
    "InputMissingError",
    "InputUnusableError",
    "InternalServerError",
    "InvalidArgumentError",
    "ModelNotAllowedError",
    "NoCredentialError",
    "NotFoundError",
    "ObjectEncodedError",
    "Operation",
    "OutputMissingError",
    "PermanentError",
    "PermissionDeniedError",
    "ProxyRateLimitError",
    "ProxyUnreachableError",
    "ResourceExhaustedError",
    "RouteNotAllowedError",
    "RouteNotFoundError",
    "ServiceUnavailableError",
    "StagingError",
    "StillRunningError",
    "StorageAccessError",
    "StorageRefusedError",
    "StorageUnavailableError",
    "TransientError",
    "UnexpectedAnswerError",
    "UpstreamUnreachableError",
    "VertexBatchError",
    "scrub",
]
