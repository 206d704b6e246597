"""The fast path for almost all rows: Gemini's answers, text only, with counts that add up.

`PlainRow` accepts a part of what `rows.Row` does, and reads the same from it. Whatever could mean more than
the sums below (another shape, status, modality or tier, a field that is not known, a count that does not
fit) is refused here, by a type or by a comparison. Such a row takes the slow path (`reader.read_row`). The
whole of each line is still read as JSON.

``_plain_rows.c`` is a compiled version, several times as fast. If the package was installed without a C
compiler, this module is used. Tests compare all three readers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType, field

from vertex_batch.storage import Block, split_lines
from vertex_batch.usage.counting import MAX_COUNT, slot
from vertex_batch.usage.meters import Meter, Meters
from vertex_batch.usage.types import Kind

try:
    from vertex_batch.usage._plain_rows import add_up
except ImportError:
    IS_COMPILED = False
else:
    IS_COMPILED = True

_INPUT = slot(Kind.INPUT)
_CACHED = slot(Kind.CACHED_INPUT)
_OUTPUT = slot(Kind.OUTPUT)
_THOUGHTS = slot(Kind.THOUGHTS)
_NOT_PLAIN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_Count = Annotated[int, Meta(ge=0, le=MAX_COUNT)]
_Skipped = Raw | UnsetType


class PlainDetail(Struct, gc=False):
    modality: Literal["TEXT"]
    count: _Count = field(name="tokenCount")


_Details = tuple[PlainDetail] | None  # one at most


class PlainUsage(Struct, gc=False, forbid_unknown_fields=True):
    """All fields that are known here; those which are only skipped are the ones of `rows.KnownUsage`."""

    prompt: _Count = field(name="promptTokenCount", default=0)
    output: _Count = field(name="candidatesTokenCount", default=0)
    thoughts: _Count = field(name="thoughtsTokenCount", default=0)
    total: _Count = field(name="totalTokenCount", default=0)
    prompt_details: _Details = field(name="promptTokensDetails", default=None)
    output_details: _Details = field(name="candidatesTokensDetails", default=None)
    cached: _Count = field(name="cachedContentTokenCount", default=0)
    cached_details: _Details = field(name="cacheTokensDetails", default=None)
    traffic_type: _Skipped = field(name="trafficType", default=UNSET)
    billable_prompt: _Skipped = field(name="billablePromptUsage", default=UNSET)
    billable_cached: _Skipped = field(name="billableCachedContentUsage", default=UNSET)
    tool_calls: _Skipped = field(name="toolCallStats", default=UNSET)


class PlainCandidate(Struct, gc=False):
    """A candidate without grounding: a type of None refuses every other value."""

    grounding: None = field(name="groundingMetadata", default=None)
    grounding_snake: None = field(name="grounding_metadata", default=None)


class PlainResponse(Struct, gc=False):
    """The fields of `rows.Response`, each either needed or refused."""

    usage: PlainUsage = field(name="usageMetadata")
    model: str | None = field(name="modelVersion", default=None)
    response_id: Any = field(name="responseId", default=None)
    candidates: list[PlainCandidate] | None = None
    token_count: None = field(name="tokenCount", default=None)
    usage_metadata_snake: None = field(name="usage_metadata", default=None)
    model_snake: None = field(name="model_version", default=None)
    response_id_snake: None = field(name="response_id", default=None)
    token_count_snake: None = field(name="token_count", default=None)
    status_code: None = None
    error: None = None


class PlainRow(Struct, gc=False):
    response: PlainResponse
    status: Literal[""] | None = None
    error: None = None


_NO_MODEL: Any = object()
_decode = msgspec.json.Decoder(PlainRow).decode


Left = list[tuple[int, bytes]]
"""Lines with their places in a block."""


def add_plain_rows(
    data: Block, meters: Meters, is_copy: Callable[[Any], bool] | None = None
) -> tuple[int, Left]:
    """Add the plain rows of whole lines to their meters.

    :param is_copy: whether a row counts, but is billed elsewhere. It is asked of each row.
    :returns: how many lines there are, and those that are left.
    """
    if IS_COMPILED and not is_copy:
        return _add_compiled(data, meters)
    lines = split_lines(data)
    return len(lines), [(place, lines[place]) for place in _add_decoded(lines, meters, is_copy)]


def _add_compiled(data: Block, meters: Meters) -> tuple[int, Left]:
    count, runs, left = add_up(data, meters.lowest_threshold)
    for model, *sums in runs:
        _add(meters.of(model), *sums)
    return count, [(place, bytes(data[start:end])) for place, start, end in left]


def _add_decoded(lines: list[bytes], meters: Meters, is_copy: Callable[[object], bool] | None) -> list[int]:
    """Add the plain rows to their meters, and return the places of the other lines."""
    left: list[int] = []
    place, meter, model = -1, Meter("", 0), _NO_MODEL
    inputs = cached = outputs = thoughts = 0  # of `meter`, not yet added to it: names are faster than slots
    rows = map(_decode, lines)
    while place + 1 < len(lines):
        try:
            for row in rows:
                place += 1
                response = row.response
                usage = response.usage
                prompt = usage.prompt
                stated = prompt + usage.output + usage.thoughts
                if (
                    stated != usage.total
                    or not stated
                    or ((details := usage.prompt_details) and details[0].count != prompt)
                    or ((details := usage.output_details) and details[0].count != usage.output)
                    or ((details := usage.cached_details) and details[0].count != usage.cached)
                    or usage.cached > prompt
                ):
                    left.append(place)
                    continue
                if response.model != model:
                    _add(meter, inputs, cached, outputs, thoughts)
                    inputs = cached = outputs = thoughts = 0
                    model = response.model
                    meter = meters.of(model)
                if prompt > meter.threshold:
                    left.append(place)
                elif not (is_copy and is_copy(response.response_id)):
                    inputs += prompt
                    cached += usage.cached
                    outputs += usage.output
                    thoughts += usage.thoughts
        except _NOT_PLAIN:
            place += 1
            left.append(place)
    _add(meter, inputs, cached, outputs, thoughts)
    return left


def _add(meter: Meter, inputs: int, cached: int, outputs: int, thoughts: int) -> None:
    sums = meter.standard
    sums[_INPUT] += inputs - cached
    sums[_CACHED] += cached
    sums[_OUTPUT] += outputs
    sums[_THOUGHTS] += thoughts
