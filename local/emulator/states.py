"""The states of a job. Inside the emulator they are written without their prefix: ``RUNNING``."""

from __future__ import annotations

_PREFIX = "JOB_STATE_"

# In the order of their numbers in the API.
STATES = (
    "UNSPECIFIED",
    "QUEUED",
    "PENDING",
    "RUNNING",
    "SUCCEEDED",
    "FAILED",
    "CANCELLING",
    "CANCELLED",
    "PAUSED",
    "EXPIRED",
    "UPDATING",
    "PARTIALLY_SUCCEEDED",
)
TERMINAL = frozenset({"SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED", "PARTIALLY_SUCCEEDED"})
# Discovery documents an end time for these; the other two terminal states come without one.
WITH_END_TIME = frozenset({"SUCCEEDED", "FAILED", "CANCELLED"})
WIRE_NAMES = frozenset(_PREFIX + state for state in STATES)


def wire_name(state: str) -> str:
    """The name that the API sends. A state that Vertex does not have gets one too."""
    return _PREFIX + state


def wire_value(state: str, *, as_number: bool) -> str | int:
    """What the API sends: the name, or the number where the client asked for numbers and there is one."""
    return STATES.index(state) if as_number and state in STATES else wire_name(state)
