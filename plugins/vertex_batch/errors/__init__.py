"""One family of errors. The type says what happened and whether a retry can help.

A `PermanentError` remains until a person changes something; a `TransientError` may be gone at the next try. A
message says what happened, to which object, what it means for money, what to do, and what a retry will do.
Every error keeps its arguments as attributes and pickles with them. No message ever contains a key.
"""

from __future__ import annotations

from vertex_batch.errors.api import AmbiguousSubmitError as AmbiguousSubmitError
from vertex_batch.errors.api import AnswerLostError as AnswerLostError
from vertex_batch.errors.api import ApiError as ApiError
from vertex_batch.errors.api import BadKeyError as BadKeyError
from vertex_batch.errors.api import CancelNotConfirmedError as CancelNotConfirmedError
from vertex_batch.errors.api import FailedPreconditionError as FailedPreconditionError
from vertex_batch.errors.api import InternalServerError as InternalServerError
from vertex_batch.errors.api import InvalidArgumentError as InvalidArgumentError
from vertex_batch.errors.api import KeyBudgetExceededError as KeyBudgetExceededError
from vertex_batch.errors.api import ModelNotAllowedError as ModelNotAllowedError
from vertex_batch.errors.api import NoCredentialError as NoCredentialError
from vertex_batch.errors.api import NotFoundError as NotFoundError
from vertex_batch.errors.api import Operation as Operation
from vertex_batch.errors.api import PermissionDeniedError as PermissionDeniedError
from vertex_batch.errors.api import ProxyRateLimitError as ProxyRateLimitError
from vertex_batch.errors.api import ProxyUnreachableError as ProxyUnreachableError
from vertex_batch.errors.api import ResourceExhaustedError as ResourceExhaustedError
from vertex_batch.errors.api import RouteNotAllowedError as RouteNotAllowedError
from vertex_batch.errors.api import RouteNotFoundError as RouteNotFoundError
from vertex_batch.errors.api import ServiceUnavailableError as ServiceUnavailableError
from vertex_batch.errors.api import StillRunningError as StillRunningError
from vertex_batch.errors.api import UnexpectedAnswerError as UnexpectedAnswerError
from vertex_batch.errors.api import UpstreamUnreachableError as UpstreamUnreachableError
from vertex_batch.errors.base import ConfigurationError as ConfigurationError
from vertex_batch.errors.base import PermanentError as PermanentError
from vertex_batch.errors.base import SettingsSource as SettingsSource
from vertex_batch.errors.base import TransientError as TransientError
from vertex_batch.errors.base import VertexBatchError as VertexBatchError
from vertex_batch.errors.base import count_of as count_of
from vertex_batch.errors.base import passing_first as passing_first
from vertex_batch.errors.base import quoted as quoted
from vertex_batch.errors.base import scrub as scrub
from vertex_batch.errors.refusals import AccessRefusedError as AccessRefusedError
from vertex_batch.errors.refusals import AdminKeyRequiredError as AdminKeyRequiredError
from vertex_batch.errors.refusals import FieldAddedError as FieldAddedError
from vertex_batch.errors.refusals import OwnerBlockedError as OwnerBlockedError
from vertex_batch.errors.refusals import ProxyInternalError as ProxyInternalError
from vertex_batch.errors.storage import ENVIRONMENT as ENVIRONMENT
from vertex_batch.errors.storage import BucketMissingError as BucketMissingError
from vertex_batch.errors.storage import InputChangedError as InputChangedError
from vertex_batch.errors.storage import InputMissingError as InputMissingError
from vertex_batch.errors.storage import InputUnusableError as InputUnusableError
from vertex_batch.errors.storage import ObjectEncodedError as ObjectEncodedError
from vertex_batch.errors.storage import OutputMissingError as OutputMissingError
from vertex_batch.errors.storage import StagingError as StagingError
from vertex_batch.errors.storage import StorageAccessError as StorageAccessError
from vertex_batch.errors.storage import StorageRefusedError as StorageRefusedError
from vertex_batch.errors.storage import StorageUnavailableError as StorageUnavailableError
