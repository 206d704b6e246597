"""The values of a spec, each with its own check, description and example for editors."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, StringConstraints, WithJsonSchema

from vertex_batch.specs.durations import DURATION_PATTERN, parse_duration, show_duration
from vertex_batch.specs.problems import did_you_mean
from vertex_batch.specs.repairs import blank_problem, label_suggestion, placeholder_problem
from vertex_batch.specs.templates import is_template, template_problem
from vertex_batch.vertex.resource import LABEL_MAX_CHARS

MOST_DECIMALS = 6
"""Of amounts in US dollars."""

# For suggestions only: anything that looks like a location passes, because Google adds regions at any time.
_REGIONS = {
    "africa": "south1",
    "asia": "east1 east2 northeast1 northeast2 northeast3 south1 southeast1 southeast2",
    "australia": "southeast1 southeast2",
    "europe": "central2 north1 southwest1 west1 west2 west3 west4 west6 west8 west9 west12",
    "me": "central1 central2 west1",
    "northamerica": "northeast1 northeast2",
    "southamerica": "east1 west1",
    "us": "central1 east1 east4 east5 south1 west1 west2 west3 west4",
}
_LOCATIONS = (
    *("global", "us", "eu"),
    *(f"{continent}-{region}" for continent, regions in _REGIONS.items() for region in regions.split()),
)
_LOCATION = re.compile(r"global|us|eu|[a-z]+-[a-z]+[0-9]{1,2}", re.ASCII)
NAME = "[a-z][a-z0-9_-]{0,62}"
"""Of a spec or a job, as a pattern."""
_NAME = re.compile(NAME, re.ASCII)
_PROJECT = re.compile(r"([a-z][a-z0-9.-]*:)?[a-z][a-z0-9-]{4,28}[a-z0-9]", re.ASCII)
_CONNECTION = re.compile(r"[A-Za-z0-9_.-]{1,200}", re.ASCII)
_MODEL = re.compile(
    r"(?P<bare>[a-z0-9][\w.@-]*)"
    r"|(projects/(?P<project>[^/\s]+)/locations/(?P<location>[^/\s]+)/)?"
    r"(publishers/[a-z0-9-]+/models/[\w.@-]+|(?P<tuned>models/[\w.@-]+))",
    re.ASCII,
)
_LABEL_KEY = re.compile(r"[^\W\d_][\w-]{0,62}")
_LABEL_VALUE = re.compile(r"[\w-]{0,63}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
T = TypeVar("T", bound=str)


def once_each(value: list[T], remedy: str = "") -> list[T]:
    """Refuse a list with the same value twice."""
    if twice := next((each for each in value if value.count(each) > 1), None):
        raise ValueError(f"contains `{twice}` twice{remedy}")
    return value


def dollars(value: object, unit: str = "US dollars") -> Decimal:
    """Read an amount exactly as it was written.

    :param unit: the unit, for messages.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise ValueError(f"must be a number: {unit}")  # noqa: TRY004 - pydantic reports only ValueErrors
    # repr() gives back the digits that were written, not the nearest binary fraction.
    return Decimal(repr(value) if isinstance(value, float) else value)


def has_too_many_decimals(amount: Decimal) -> bool:
    """Whether an amount has more than `MOST_DECIMALS`."""
    exponent = amount.normalize().as_tuple().exponent
    return isinstance(exponent, int) and exponent < -MOST_DECIMALS


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(
            f"`{text[:80]}` must begin with a letter and contain only lowercase letters, digits, `_` and"
            " `-`, at most 63 characters, because it becomes the DAG's id and a label of each job"
        )
    return text


def _model(text: str) -> str:
    if not (match := _MODEL.fullmatch(text)):
        bare = text.rsplit("/", 1)[-1]
        better = f"; did you mean `{bare}`?" if text.startswith(("vertex_ai/", "models/", "gemini/")) else ""
        raise ValueError(
            f"`{text[:80]}` is not a valid model: use `gemini-3.8-flash`, `publishers/PUBLISHER/models/MODEL`"
            f" or `projects/PROJECT/locations/LOCATION/models/ID`{better}"
        )
    if match["tuned"] and not match["project"]:
        raise ValueError("a tuned model needs its project: `projects/PROJECT/locations/LOCATION/models/ID`")
    return text


def model_parts(model: str) -> tuple[str | None, str | None, bool]:
    """Return a model's project and location, if its name has them, and whether it is tuned."""
    match = _MODEL.fullmatch(model)
    return (match["project"], match["location"], bool(match["tuned"])) if match else (None, None, False)


def _no_number(value: object) -> object:
    """Refuse a project number as such, with or without quotes."""
    if (isinstance(value, int) and not isinstance(value, bool)) or (
        isinstance(value, str) and value.isdigit()
    ):
        raise ValueError(
            f"`{value}` is a project number: use the project id, because the proxy knows only that"
        )
    return value


def _project(text: str) -> str:
    if not _PROJECT.fullmatch(text):
        raise ValueError(
            f"`{text[:80]}` is not a valid project id: expected 6 to 30 lowercase letters, digits and `-`,"
            " beginning with a letter"
        )
    return text


def _location(text: str) -> str:
    if not _LOCATION.fullmatch(text):
        better = did_you_mean(text, _LOCATIONS) or ", such as us-central1"
        raise ValueError(f"`{text[:80]}` is not a valid location{better}")
    return text


def _connection(text: str) -> str:
    if not _CONNECTION.fullmatch(text):
        raise ValueError("is not a valid Airflow connection id: use letters, digits, `_`, `-` and `.`")
    return text


def _label_key(text: str) -> str:
    if not _LABEL_KEY.fullmatch(text) or text != text.lower():
        raise ValueError(
            f"`{text[:80]}` is not a valid label key: expected a lowercase letter, then lowercase letters,"
            f" digits, `_` and `-`, at most {LABEL_MAX_CHARS} characters{label_suggestion(text)}"
        )
    return text


def _label_value(text: str) -> str:
    if problem := blank_problem(text) or template_problem(text) or placeholder_problem(text):
        raise ValueError(problem)
    if is_template(text):
        return text
    if not _LABEL_VALUE.fullmatch(text) or text != text.lower():
        raise ValueError(
            f"`{text[:80]}` is not a valid label value: expected lowercase letters, digits, `_` and `-`,"
            f" at most {LABEL_MAX_CHARS} characters{label_suggestion(text)}"
        )
    return text


def _team(text: str) -> str:
    if is_template(text) or placeholder_problem(text):
        raise ValueError("cannot be a template: the same team pays for every run")
    return _label_value(text)


def _line(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("must be a single line")
    return text


def _duration(value: Any) -> object:
    is_duration = isinstance(value, (str, int)) and not isinstance(value, bool)
    if is_duration:
        return parse_duration(value)
    if isinstance(value, timedelta):
        return value
    raise ValueError("must be a duration such as `30s`, `10m` or `4d`, or a number of seconds")


def _matching(pattern: re.Pattern[str]) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": f"^({pattern.pattern})$"})


Name = Annotated[str, AfterValidator(_name), _matching(_NAME)]
Line = Annotated[str, StringConstraints(min_length=1, max_length=250), AfterValidator(_line)]
Prose = Annotated[str, StringConstraints(max_length=5000)]
ModelName = Annotated[str, AfterValidator(_model)]
ProjectId = Annotated[str, BeforeValidator(_no_number), AfterValidator(_project), _matching(_PROJECT)]
Location = Annotated[
    str,
    AfterValidator(_location),
    WithJsonSchema(
        {"type": "string", "anyOf": [{"enum": [*_LOCATIONS]}, {"pattern": f"^({_LOCATION.pattern})$"}]}
    ),
]
ConnectionId = Annotated[str, AfterValidator(_connection), _matching(_CONNECTION)]
LabelKey = Annotated[str, AfterValidator(_label_key)]
LabelValue = Annotated[str, AfterValidator(_label_value)]
TeamName = Annotated[str, StringConstraints(min_length=1), AfterValidator(_team)]
Dollars = Annotated[Decimal, PlainSerializer(str, return_type=str, when_used="json")]
Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(show_duration, return_type=str, when_used="json"),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": DURATION_PATTERN}, {"type": "integer", "minimum": 0}]}
    ),
]
