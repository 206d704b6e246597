"""The page of the public classes, made from their docstrings and signatures."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence

from vertex_batch import hooks, operators, sensors, triggers

# One `:param name: text`, up to the next field.
_FIELD = re.compile(
    r"^:(param (?P<name>\w+)|returns|raises (?P<error>\w+)): (?P<text>.*?)(?=^:|\Z)", re.MULTILINE | re.DOTALL
)
_SHELVES = (operators, sensors, hooks, triggers)


def api() -> str:
    """Every public operator, sensor, hook and trigger, with its parameters."""
    return "\n".join(
        line for shelf in _SHELVES for line in _shelf(shelf.__name__, shelf.__all__, vars(shelf))
    )


def parameters(documented: type) -> dict[str, str]:
    """The parameters in a docstring with their meanings, as cells of a table."""
    fields = _FIELD.finditer(inspect.getdoc(documented) or "")
    return {field["name"]: _cell(field["text"]) for field in fields if field["name"]}


def _shelf(module: str, names: Sequence[str], found: Mapping[str, object]) -> Iterator[str]:
    yield f"## `{module}`\n"
    for name in names:
        shown = found[name]
        if isinstance(shown, type):
            yield from _class(shown)


def _class(shown: type) -> Iterator[str]:
    text = inspect.getdoc(shown) or ""
    yield f"### `{shown.__name__}`\n"
    yield f"{_plain(_FIELD.sub('', text)).strip()}\n"
    # A base says what its operators share; each says itself what means something of its own there.
    ours = [each for each in shown.mro() if each.__module__.startswith("vertex_batch.operators.")]
    classes = ours or [shown]
    defaults: dict[str, inspect.Parameter] = {}
    meanings: dict[str, str] = {}
    for each in classes:
        defaults = {**inspect.signature(each.__init__).parameters, **defaults}  # type: ignore[misc]
        meanings = {**parameters(each), **meanings}
    own = list(parameters(shown))
    rows = [(name, meanings[name]) for name in [*own, *(name for name in meanings if name not in own)]]
    if rows:
        yield "| parameter | default | meaning |"
        yield "|---|---|---|"
        yield from (f"| `{name}` | {_default(defaults, name)} | {meaning} |" for name, meaning in rows)
        yield ""
    for field in _FIELD.finditer(text):
        if field["error"]:
            yield f"- Raises `{field['error']}`: {_cell(field['text'])}"
        elif not field["name"]:
            yield f"- Returns {_cell(field['text'])}"
    yield ""


def _default(parameters: Mapping[str, inspect.Parameter], name: str) -> str:
    known = parameters.get(name)
    if known is None:
        return ""
    if known.default is inspect.Parameter.empty:
        return "**required**"
    default = getattr(known.default, "value", known.default)
    if default is None or default in ("", ()):
        return ""
    plain = isinstance(default, (str, int, float, bool))
    return f"`{default}`" if plain else "see its class"


def _cell(text: str) -> str:
    return _plain(" ".join(text.split())).replace("|", "\\|")


def _plain(text: str) -> str:
    return text.replace("``", "`")
