"""What a test can ask of the emulator: scenarios for jobs, faults for calls, and the settings of the whole.

All of them are plain data: built in Python by a test, sent as JSON by `local.emulator.admin`, checked
strictly on arrival (an unknown key or a wrong type is a 400, since a scenario with a typo would silently
test nothing).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta, Struct, field

from .states import TERMINAL

Share = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0)]


class Plain(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of all scripted things: immutable, keyword only, strict."""


class Match(Plain, frozen=True):
    """Which jobs something applies to. What is not given matches everything; what is given must all hold.

    :param display_name: the exact display name, or a pattern with ``*``.
    :param labels: labels that the job must carry; with the value ``*``, any value of the key.
    :param model: the last segment of the model, or a pattern with ``*``.
    :param input_uri: one of the job's input URIs, or a pattern with ``*``.
    """

    display_name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    model: str = ""
    input_uri: str = ""


class Step(Plain, frozen=True):
    """One state on a job's way.

    :param state: without its prefix: ``RUNNING``. A name that Vertex does not have is let through: that is
        how a future state is tested.
    :param seconds: how long it lasts, divided by the emulator's speed; None holds it until released.
    """

    state: str
    seconds: Seconds | None = 0.0


class Cancel(Plain, frozen=True):
    """What a cancel call does to a running job.

    :param seconds: time in CANCELLING, divided by the speed; None holds it until released.
    :param end: the state after it. ``SUCCEEDED`` is the cancel that came too late.
    """

    seconds: Seconds | None = 2.0
    end: str = "CANCELLED"


class Trait(StrEnum):
    """Something that can be special about an output row. The order is part of `rows.traits_of`: append
    only.
    """

    FAILED = "failed"  # one of the three below, by the row's digest
    FAILED_EMPTY = "failed_empty"  # "response": {}
    FAILED_NULL = "failed_null"  # "response": null
    FAILED_ABSENT = "failed_absent"  # no "response"
    FAILED_DEADLINE = "failed_deadline"  # code 4; the same row succeeds in another job
    THOUGHTS = "thoughts"
    CACHED = "cached"
    TOOL_USE = "tool_use"
    GROUNDED = "grounded"  # Google Search: tool use tokens and search queries
    AUDIO_INPUT = "audio_input"
    IMAGE_INPUT = "image_input"
    IMAGE_OUTPUT = "image_output"
    LONG_CONTEXT = "long_context"  # more than 200,000 prompt tokens
    NO_TOTAL = "no_total"
    NO_DETAILS = "no_details"
    SHORT_DETAILS = "short_details"  # details that add up to less than their count
    NO_USAGE = "no_usage"
    EXTRA_USAGE = "extra_usage"  # usage fields that the discovery document does not have
    NO_MODEL_VERSION = "no_model_version"
    MODEL_AT_DEFAULT = "model_at_default"  # such as "gemini-3.8-flash@default"
    SAFETY = "safety"
    RECITATION = "recitation"
    MAX_TOKENS = "max_tokens"
    BLOCKED_PROMPT = "blocked_prompt"  # promptFeedback and no candidates


ROW_ERRORS = {
    4: ("Deadline Exceeded", "DEADLINE_EXCEEDED", "Request deadline exceeded before prefill finished"),
    8: ("Resource Exhausted", "RESOURCE_EXHAUSTED", "Resource exhausted. Please try again later."),
    13: ("Internal", "INTERNAL", "An internal error has occurred."),
    14: ("Unavailable", "UNAVAILABLE", "The service is currently unavailable."),
    400: ("Bad Request", "INVALID_ARGUMENT", "Request contains an invalid argument."),
    403: ("Forbidden", "PERMISSION_DENIED", "The caller does not have permission"),
    404: ("Not Found", "NOT_FOUND", "Requested entity was not found."),
    429: ("Too Many Requests", "RESOURCE_EXHAUSTED", "Resource exhausted. Please try again later."),
    499: ("Client Closed Request", "CANCELLED", "The operation was cancelled."),
    500: ("Internal Server Error", "INTERNAL", "An internal error has occurred."),
    503: ("Service Unavailable", "UNAVAILABLE", "The service is currently unavailable."),
    504: ("Gateway Timeout", "DEADLINE_EXCEEDED", "Request deadline exceeded before prefill finished"),
}
"""Code of a failed row -> the words before its JSON, the status and the message."""


class RowRule(Plain, frozen=True):
    """What happens to chosen rows. The first rule with ``fails`` that a row matches decides how it fails.

    :param contains: a text to look for in the input line; the empty text is in every line.
    :param traits: what is special about their output rows.
    :param share: the share of those rows that the rule is for. A row's request decides, so the same rows are
        chosen in every job that reads them.
    :param fails: how many times the row fails before it is answered. A failure counts when a job that ran the
        row has ended; a job that died before it reached the row leaves the count alone.
    :param code: with what: a key of `ROW_ERRORS`.
    :param never: the row never finishes: Vertex counts it as incomplete, and it is not in the output.
    :param copies: how many times its line is in the output: 0 drops a row that Vertex counts and bills, 2
        writes its answer twice.
    :param cut: its line ends in the middle.
    """

    contains: str
    traits: list[Trait] = field(default_factory=list)
    share: Share = 1.0
    fails: Annotated[int, Meta(ge=0)] = 0
    code: int = 0
    never: bool = False
    copies: Annotated[int, Meta(ge=0)] = 1
    cut: bool = False

    def __post_init__(self) -> None:
        if bool(self.fails) != bool(self.code):
            msg = "`fails` and `code` belong together: how often a row fails, and with what"
            raise ValueError(msg)
        if self.code and self.code not in ROW_ERRORS:
            msg = f"{self.code} is not a code of a failed row: {', '.join(map(str, ROW_ERRORS))}"
            raise ValueError(msg)
        if self.never and (self.fails or self.copies != 1 or self.cut or self.traits):
            msg = "a row that never finishes has no output to describe"
            raise ValueError(msg)


class Order(StrEnum):
    """The order of the rows in an output."""

    SHUFFLED = "shuffled"
    INPUT = "input"
    REVERSED = "reversed"  # within windows of some thousand rows


class Output(Plain, frozen=True):
    """Oddities of the output files.

    :param write: False leaves the directory empty, as when the service agent may not write there.
    :param info: False leaves outputInfo out of the job.
    :param first_row: traits of the first row of the file, wherever it comes from.
    :param missing_rows: how many finished rows are not in the file.
    :param duplicate_rows: how many rows are in it twice.
    :param truncated: the last line is cut in the middle.
    :param empty: the file is there and holds nothing.
    :param shards: more than one splits the file into ``predictions_00001.jsonl`` and so on.
    :param incremental: copies of the rows under ``incremental_predictions/`` beside the file.
    :param null_members: the echoed request gains ``null`` members.
    :param numeric_ids: sibling ids of digits come back as numbers (``"000000"`` as ``0``).
    :param order: of the rows, in which they also finish.
    :param embedding_values: length of a vector. Real ones are thousands long, tests need a few.
    :param embedding_usage: embeddings carry ``usageMetadata`` instead of ``tokenCount``.
    """

    write: bool = True
    info: bool = True
    first_row: list[Trait] = field(default_factory=list)
    missing_rows: int = 0
    duplicate_rows: int = 0
    truncated: bool = False
    empty: bool = False
    shards: Annotated[int, Meta(ge=1)] = 1
    incremental: bool = False
    null_members: bool = False
    numeric_ids: bool = False
    order: Order = Order.SHUFFLED
    embedding_values: int = 8
    embedding_usage: bool = False


class Listing(StrEnum):
    """What a job does to the pages of a list that it is on."""

    NORMAL = "normal"
    FAILS = "fails"  # the page is answered with INTERNAL
    UNREADABLE = "unreadable"  # its own entry has an invalid time


class Scenario(Plain, frozen=True):
    """How the jobs that match it live and end. The first scenario that matches a new job is its own.

    :param name: shown with the jobs that it matched.
    :param match: which jobs it is for.
    :param times: how many jobs it is for; None is all. ``times=1`` with an empty match is "the next job
        created".
    :param timeline: the states before the end; None takes the default of the settings.
    :param end: one of the five terminal states.
    :param error_code: google.rpc.Code of a FAILED job; 0 is 13, as of a service in trouble.
    :param error_message: of a FAILED job.
    :param finished: share of the rows that are done when the job ends by its timeline.
    :param finished_held: share that is done while RUNNING is held.
    :param stats: None counts the rows; ``{}`` leaves completionStats out; anything else is sent as it is.
    :param partial_failures: how many entries the job carries there (Vertex never sends more than 20).
    :param cancel: what a cancel call does.
    :param mix: share of the rows that have a trait; None takes the one of the settings.
    :param rows: what happens to the rows that contain a text.
    :param output: what is odd about the output files.
    :param listing: what happens to a list that the job is on. A read of the job itself is not affected.
    """

    name: str = ""
    match: Match = Match()
    times: int | None = None
    timeline: list[Step] | None = None
    end: str = "SUCCEEDED"
    error_code: int = 0
    error_message: str = ""
    finished: Share = 1.0
    finished_held: Share = 0.5
    stats: Mapping[str, int] | None = None
    partial_failures: Annotated[int, Meta(ge=0, le=20)] = 0
    cancel: Cancel = Cancel()
    mix: Mapping[Trait, Share] | None = None
    rows: list[RowRule] = field(default_factory=list)
    output: Output = Output()
    listing: Listing = Listing.NORMAL

    def __post_init__(self) -> None:
        for state in (self.end, self.cancel.end):
            if state not in TERMINAL:
                msg = f"'{state}' is not a terminal state: {', '.join(sorted(TERMINAL))}"
                raise ValueError(msg)


class Operation(StrEnum):
    """What a call does; ``*`` in a fault means all of them."""

    ANY = "*"
    CREATE = "create"
    GET = "get"
    LIST = "list"
    CANCEL = "cancel"
    DELETE = "delete"
    GET_OPERATION = "get_operation"
    TOKEN = "token"  # noqa: S105 - a name, not a secret


class FaultKind(StrEnum):
    """What goes wrong with a call."""

    STATUS = "status"  # an HTTP status in Google's envelope
    HTML = "html"  # a page of the front end
    TRUNCATED = "truncated"  # the real answer, cut in the middle: the call took effect
    MALFORMED = "malformed"  # 200 with something that is not JSON
    EMPTY = "empty"  # 200 with no body
    DELAY = "delay"  # the right answer, late
    RESET_BEFORE = "reset_before"  # connection reset, the call took no effect
    RESET_AFTER = "reset_after"  # the call took effect, then the connection is reset
    HOLD = "hold"  # the answer waits until released


class Fault(Plain, frozen=True):
    """Something that goes wrong with calls. The first fault that matches a call happens to it, and only
    that one.

    :param op: the calls that it happens to: ``create``, ``get``, ``list``, ``cancel``, ``delete``,
        ``get_operation``, ``token``, or ``*`` for all of them.
    :param kind: what goes wrong; the table of faults has them.
    :param after: the call takes effect before it goes wrong (a 500 with the job stored). TRUNCATED and
        RESET_AFTER always do, RESET_BEFORE never does.
    :param seconds: the delay, not divided by the speed; also goes before any other kind.
    :param times: how often it happens; None is without end.
    :param match: jobs it is limited to. A list or a token call is about no job, so only an empty match fits
        it.
    :param status: HTTP status of STATUS and HTML.
    :param grpc_status: name of a google.rpc.Code, where the one that goes with ``status`` is not meant.
    :param message: of the error in Google's envelope; a default of the status if empty.
    :param headers: more headers of the answer.
    :param probability: with which it happens to a call that it matches.
    """

    op: Operation
    kind: FaultKind
    after: bool = False
    status: Annotated[int, Meta(ge=100, le=599)] = 503
    grpc_status: str = ""
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: Seconds = 0.0
    times: int | None = 1
    probability: Share = 1.0
    match: Match = Match()

    @property
    def takes_effect(self) -> bool:
        """Whether the call is carried out before it goes wrong."""
        if self.kind in (FaultKind.TRUNCATED, FaultKind.RESET_AFTER, FaultKind.DELAY):
            return True
        return self.after and self.kind is not FaultKind.RESET_BEFORE


class Settings(Plain, frozen=True):
    """The settings of the whole emulator.

    :param speed: what the durations of timelines and cancels are divided by.
    :param timeline: the states of a job without a scenario. The durations are those seen on Vertex for two
        rows.
    :param mix: share of the rows of a job without a scenario that have a trait.
    :param list_lag_seconds: how long a new job is missing from lists; not divided by the speed.
    :param time_digits: fractional digits of all times; LiteLLM 1.106 reads only 6.
    :param resume_incomplete: a job that reads the output folder of an earlier job also runs the rows that
        the earlier one left incomplete, as Google's page says. False: only what the folder holds.
    :param seed: of the order of rows and of chances; that of the start also of the ids.
    """

    speed: Annotated[float, Meta(gt=0)] = 1.0
    timeline: list[Step] = field(
        default_factory=lambda: [Step(state="PENDING", seconds=90), Step(state="RUNNING", seconds=120)]
    )
    mix: Mapping[Trait, Share] = field(default_factory=dict)
    list_lag_seconds: Seconds = 0.0
    time_digits: Annotated[int, Meta(ge=0, le=9)] = 6
    resume_incomplete: bool = True
    seed: int = 0


class JobFacts(Plain, frozen=True):
    """What of a job a match looks at."""

    display_name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    model: str = ""
    input_uris: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> JobFacts:
        """Read them from a canonical job."""
        source = body.get("inputConfig", {})
        uris = source.get("gcsSource", {}).get("uris", [])
        bigquery = source.get("bigquerySource", {}).get("inputUri")
        return cls(
            display_name=body.get("displayName", ""),
            labels=body.get("labels", {}),
            model=body.get("model", "").rpartition("/")[2],
            input_uris=[*uris, bigquery] if bigquery else list(uris),
        )
