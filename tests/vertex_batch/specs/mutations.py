"""Specs gone wrong: seeded mutations of good ones, over their text, their bytes and their structure."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import yaml

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
JOBS = """\
description: Several jobs and all that specs may say
schedule: "30 2 * * 1-5"
timezone: Europe/Berlin
start_date: 2026-11-01
end_date: 2027-11-01T02:30:00
catchup: false
project: my-project
location: us-central1
output: gs://my-bucket/out/{{ run_date }}/
inputs:
  - gs://my-bucket/in/{{ previous_run_date }}/*.jsonl
  - gs://my-bucket/more.jsonl
team: search
labels: {product: helpdesk, day: "{{ run_date }}"}
retries: 2
retry_delay: 2m
deadline: 12h
max_failed_ratio: 0.05
generation: {temperature: 0.2, stop: ["{{ run_hour }}"]}
prices:
  gemini-2.5-flash: {input: 0.12, output: 1.10}
jobs:
  short: &short
    model: gemini-2.5-flash
  long:
    model: gemini-2.5-pro
    after: [short]
    preflight: warn
    output: gs://my-bucket/long/{{ run_date }}/
"""
PIECES = (
    *"{}[]&*!|>%@`'\"#:-?,\n\t\0\r\x07\x85\u2028\u202e\ufeff\ud83d\U0001f600",
    *(
        " ",
        "  ",
        ": ",
        "- ",
        "? ",
        "<<: ",
        "&a ",
        "*a",
        "*short",
        "!!x ",
        "!!python/object/apply:os.system [id]",
    ),
    *("---\n", "...\n", "%YAML 1.1\n", "%TAG ! tag:x:\n", "{{", "}}", "{% if %}", "{% for x in y %}", "{#"),
    *(
        "{{ ds }}",
        "{{ var.value.x }}",
        "{{ 9**9**9 }}",
        "{{ ''.__class__ }}",
        "{{ run_date | upper }}",
        "{{ run_dat }}",
    ),
    *(
        "1e999",
        "0x",
        "0o8",
        "-0",
        "null",
        "~",
        ".nan",
        "-.inf",
        "9" * 50,
        "9" * 5000,
        "[" * 30,
        "\\x00",
        "1_000",
        "0b1",
    ),
    *(
        "99999-99-99",
        "2026-02-30",
        "2026-11-22T25:00",
        "0001-01-01",
        "on",
        "yes",
        "12:30",
        "* * * * *",
        "@daily",
    ),
    *(
        "@once",
        "61 * * * *",
        "0 0 30 2 *",
        "R * * * *",
        "Europe/Berln",
        "../../etc/passwd",
        "gs://",
        "bq://a.b.c",
    ),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 10**30, 0.0, 1e308, float("nan"), float("inf"), "", " ", "x", "x" * 3000),
    *(
        "\u202e",
        "a\nb",
        "{{ run_date }}",
        "{{",
        "{% raw %}",
        "on",
        "12:30",
        "2026-11-22",
        "gs://a/b",
        "bq://p.d.t",
    ),
    *([], {}, [[]], [{}], {"": ""}, {"a": {"a": {"a": []}}}, ["x"] * 2000, {f"k{n}": n for n in range(200)}),
    *(
        "@weekly",
        "0 0 31 2 *",
        "1h1h",
        "99999d",
        "-1s",
        "sk-" + "a" * 20,
        "\x00",
        "\ud83d",
        "short",
        ["short", "long"],
    ),
)


class Mutator:
    """Makes the same broken spec for the same number."""

    def __init__(self, seeds: list[str]) -> None:
        self._seeds = {text: yaml.load(text, Loader=_Loader) for text in (*seeds, JOBS)}

    def make(self, number: int) -> bytes:
        """Make one broken spec, of which a few may still be good."""
        chance = random.Random(number)
        text = chance.choice(list(self._seeds))
        if chance.random() < 0.5:
            text = _restructured(chance, deepcopy(self._seeds[text]))
        for _ in range(chance.choice((0, 1, 1, 2, 3, 8))):
            text = chance.choice(TEXT_MUTATIONS)(chance, text)
        data = text.encode("utf-8", "surrogatepass")
        return _damaged(chance, data) if chance.random() < 0.1 else data


def _insert(chance: random.Random, text: str) -> str:
    at = chance.randint(0, len(text))
    return text[:at] + chance.choice(PIECES) + text[at + chance.choice((0, 0, 1, 5)) :]


def _cut(chance: random.Random, text: str) -> str:
    at = chance.randint(0, len(text))
    return text[:at] + text[at + chance.randint(1, 40) :]


def _truncate(chance: random.Random, text: str) -> str:
    return text[: chance.randint(0, len(text))]


def _over_lines(
    change: Callable[[random.Random, list[str], int], None],
) -> Callable[[random.Random, str], str]:
    def mutation(chance: random.Random, text: str) -> str:
        lines = text.split("\n")
        change(chance, lines, chance.randrange(len(lines)))
        return "\n".join(lines)

    return mutation


def _indent(chance: random.Random, lines: list[str], at: int) -> None:
    lines[at] = " " * chance.randint(0, 6) + (lines[at].lstrip() if chance.random() < 0.5 else lines[at])


def _swap(chance: random.Random, lines: list[str], at: int) -> None:
    other = chance.randrange(len(lines))
    lines[at], lines[other] = lines[other], lines[at]


def _double(chance: random.Random, lines: list[str], at: int) -> None:
    lines.insert(chance.randint(0, len(lines)), lines[at])


def _revalue(chance: random.Random, lines: list[str], at: int) -> None:
    key, colon, _ = lines[at].partition(":")
    lines[at] = f"{key}{colon} {chance.choice(PIECES)}"


def _typo(chance: random.Random, lines: list[str], at: int) -> None:
    line = lines[at]
    if len(line) > 1:
        place = chance.randrange(len(line) - 1)
        lines[at] = line[:place] + line[place + 1] + line[place] + line[place + 2 :]


def _bomb(chance: random.Random, text: str) -> str:
    """Aliases of aliases, merged, nested, or many documents."""
    wide = "".join(f"b{n}: &b{n} [{', '.join([f'*b{n - 1}'] * 9)}]\n" for n in range(1, 12))
    deep = "deep: " + "{a: " * chance.choice((5, 25, 3000)) + "1" + "}" * chance.choice((5, 25, 3000))
    merged = "base: &base {retries: 1}\n<<: *base\n"
    return text + chance.choice(
        (f"b0: &b0 x\n{wide}", deep, merged, "---\n" * 50 + text, "labels: &l {a: *l}\n")
    )


TEXT_MUTATIONS: tuple[Callable[[random.Random, str], str], ...] = (
    *(_insert, _insert, _insert, _cut, _truncate, _bomb),
    *map(_over_lines, (_indent, _swap, _double, _revalue, _revalue, _typo)),
)


def _damaged(chance: random.Random, data: bytes) -> bytes:
    kind = chance.randrange(4)
    if kind == 0:
        return data.decode("utf-8", "replace").encode(chance.choice(("utf-16", "utf-32", "cp037")), "replace")
    if kind == 1:
        return bytes(chance.randrange(256) for _ in range(chance.randint(0, 300)))
    at = chance.randint(0, len(data))
    return data[:at] + bytes(chance.randrange(256) for _ in range(chance.randint(1, 4))) + data[at + 1 :]


def _restructured(chance: random.Random, data: Any) -> str:
    """Change the data of a spec, and write it anew."""
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        _change(chance, data)
    if chance.random() < 0.5:
        return json.dumps(data, default=str, ensure_ascii=chance.random() < 0.5)
    if "\\ud83d" in json.dumps(data, default=str):  # which the dumper cannot write
        return json.dumps(data, default=str)
    return yaml.dump(data, Dumper=_Dumper, sort_keys=chance.random() < 0.5, allow_unicode=True)


def _change(chance: random.Random, data: Any) -> None:
    parent: Any = data
    while True:
        keys = list(parent) if isinstance(parent, dict) else list(range(len(parent)))
        if not keys:
            return
        key = chance.choice(keys)
        inner = parent[key]
        if not (isinstance(inner, dict | list) and inner and chance.random() < 0.7):
            break
        parent = inner
    kind = chance.randrange(5)
    if kind == 0:
        del parent[key]
    elif kind == 1 and isinstance(parent, dict):
        parent[f"{key}"[:-1] or "x"] = parent.pop(key)
    elif kind == 2:
        parent[key] = [parent[key]]
    elif kind == 3:
        parent[key] = {str(key): parent[key]}
    else:
        parent[key] = chance.choice(VALUES)
