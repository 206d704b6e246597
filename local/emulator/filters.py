"""The filter of a list call: a small parser that turns its text into a test on a job.

The grammar is what the Vertex discovery document documents for ``batchPredictionJobs.list``, read by the
rules of https://google.aip.dev/160, where OR binds tighter than AND::

    expression  = sequence { "AND" sequence }
    sequence    = factor { "OR" factor }
    factor      = [ "NOT" ] ( restriction | "(" expression ")" )
    restriction = field operator value
    field       = "display_name" | "model_display_name" | "state" | "create_time" | "labels." key
    value       = quoted string | bare word | "*" after "labels.key:"

Anything else is refused: a filter that Vertex would refuse must not find jobs here.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .envelope import ApiError
from .states import WIRE_NAMES


@dataclass(frozen=True)
class Listed:
    """What a filter can see of a job."""

    display_name: str
    model_display_name: str
    state: str
    create_time: datetime
    labels: Mapping[str, str]


Test = Callable[[Listed], bool]
_Make = Callable[[str], Test]

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<operator><=|>=|!=|=|<|>|:)
      | (?P<bracket>[()])
      | (?P<star>\*)
      | (?P<word>[^\s"'<>!=:()*]+)
    )""",
    re.VERBOSE,
)
_KEYWORDS = ("AND", "OR", "NOT")


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str

    @property
    def value(self) -> str:
        return re.sub(r"\\(.)", r"\1", self.text[1:-1]) if self.kind == "quoted" else self.text


def compile_filter(text: str) -> Test:
    """Turn a filter into a test. The empty filter accepts every job.

    :raises ApiError: INVALID_ARGUMENT for what the documented grammar does not allow.
    """
    tokens = _tokens(text)
    if not tokens:
        return lambda _job: True
    parser = _Parser(text, tokens)
    test = parser.expression()
    if parser.peek() is not None:
        raise parser.error(f"unexpected {parser.peek_text()}")
    return test


def _tokens(text: str) -> list[_Token]:
    tokens, position = [], 0
    stripped = text.rstrip()
    while position < len(stripped):
        match = _TOKEN.match(stripped, position)
        if match is None or match.lastgroup is None:
            raise _invalid(text, f"unexpected character at {position}")
        tokens.append(_Token(match.lastgroup, match[match.lastgroup]))
        position = match.end()
    return tokens


def _invalid(text: str, reason: str) -> ApiError:
    return ApiError("INVALID_ARGUMENT", f"Invalid filter '{text}': {reason}.")


class _Parser:
    def __init__(self, text: str, tokens: list[_Token]) -> None:
        self.text = text
        self.tokens = tokens
        self.position = 0

    def peek(self) -> _Token | None:
        return self.tokens[self.position] if self.position < len(self.tokens) else None

    def peek_text(self) -> str:
        token = self.peek()
        return f"'{token.text}'" if token else "end of filter"

    def error(self, reason: str) -> ApiError:
        return _invalid(self.text, reason)

    def accept(self, kind: str, *texts: str) -> _Token | None:
        token = self.peek()
        if token is None or token.kind != kind or (texts and token.text not in texts):
            return None
        self.position += 1
        return token

    def expression(self) -> Test:
        parts = [self.sequence()]
        while self.accept("word", "AND"):
            parts.append(self.sequence())
        return parts[0] if len(parts) == 1 else _all_of(parts)

    def sequence(self) -> Test:
        parts = [self.factor()]
        while self.accept("word", "OR"):
            parts.append(self.factor())
        return parts[0] if len(parts) == 1 else lambda job: any(part(job) for part in parts)

    def factor(self) -> Test:
        negated = self.accept("word", "NOT") is not None
        if self.accept("bracket", "("):
            test = self.expression()
            if not self.accept("bracket", ")"):
                raise self.error(f"expected ')', found {self.peek_text()}")
        else:
            test = self.restriction()
        return (lambda job: not test(job)) if negated else test

    def restriction(self) -> Test:
        name = self.field_name()
        sign = self.accept("operator")
        if sign is None:
            raise self.error(f"expected an operator after '{name}', found {self.peek_text()}")
        if name.startswith("labels.") and sign.text == ":" and self.accept("star"):
            key = name.removeprefix("labels.")
            return lambda job: key in job.labels
        value = self.accept("quoted") or self.accept("word")
        if value is None or (value.kind == "word" and value.text in _KEYWORDS):
            raise self.error(f"expected a value after '{name}{sign.text}', found {self.peek_text()}")
        field = "labels" if name.startswith("labels.") else name
        make = _RESTRICTIONS.get((field, sign.text))
        if make is None:
            known = field in {known_field for known_field, _ in _RESTRICTIONS}
            raise self.error(
                f"'{name}' does not support '{sign.text}'" if known else f"unknown field '{name}'"
            )
        try:
            return make(name.removeprefix("labels."))(value.value)
        except ValueError as error:
            raise self.error(str(error)) from error

    def field_name(self) -> str:
        token = self.accept("word")
        if token is None or token.text in _KEYWORDS:
            raise self.error(f"expected a field, found {token.text if token else self.peek_text()}")
        quoted = self.accept("quoted") if token.text == "labels." else None
        return token.text + quoted.value if quoted else token.text


def _all_of(parts: Sequence[Test]) -> Test:
    def test(job: Listed) -> bool:
        for part in parts:  # noqa: SIM110 - a generator takes twice the time, for each job of a list
            if not part(job):
                return False
        return True

    return test


def _text(attribute: str, compare: Callable[[str, str], bool]) -> Callable[[str], _Make]:
    read = operator.attrgetter(attribute)
    return lambda _name: lambda value: lambda job: compare(read(job), value)


def _wildcard(_name: str) -> _Make:
    def make(value: str) -> Test:
        pattern = re.compile(".*".join(re.escape(part) for part in value.split("*")), re.DOTALL)
        return lambda job: pattern.fullmatch(job.display_name) is not None

    return make


def _state(compare: Callable[[str, str], bool]) -> Callable[[str], _Make]:
    def make(value: str) -> Test:
        if value not in WIRE_NAMES:
            msg = f"'{value}' is not a job state"
            raise ValueError(msg)
        return lambda job: compare(job.state, value)

    return lambda _name: make


def _time(compare: Callable[[datetime, datetime], bool]) -> Callable[[str], _Make]:
    def make(value: str) -> Test:
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            msg = f"'{value}' is not a time in RFC 3339 format"
            raise ValueError(msg)
        return lambda job: compare(job.create_time, moment.astimezone(UTC))

    return lambda _name: make


def _label(key: str) -> _Make:
    return lambda value: lambda job: job.labels.get(key) == value


_RESTRICTIONS: dict[tuple[str, str], Callable[[str], _Make]] = {
    ("display_name", "="): _text("display_name", operator.eq),
    ("display_name", "!="): _text("display_name", operator.ne),
    ("display_name", ":"): _wildcard,
    ("model_display_name", "="): _text("model_display_name", operator.eq),
    ("model_display_name", "!="): _text("model_display_name", operator.ne),
    ("state", "="): _state(operator.eq),
    ("state", "!="): _state(operator.ne),
    ("create_time", "="): _time(operator.eq),
    ("create_time", "!="): _time(operator.ne),
    ("create_time", "<"): _time(operator.lt),
    ("create_time", "<="): _time(operator.le),
    ("create_time", ">"): _time(operator.gt),
    ("create_time", ">="): _time(operator.ge),
    ("labels", "="): _label,
}


def listed(body: Mapping[str, Any], state: str, create_time: datetime) -> Listed:
    """A job as a filter sees it."""
    return Listed(
        display_name=body.get("displayName", ""),
        model_display_name=body.get("model", "").rpartition("/")[2],
        state=state,
        create_time=create_time,
        labels=body.get("labels", {}),
    )
