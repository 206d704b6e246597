"""Whatever stands in a spec file, loading it gives a spec or placed problems, in time."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.vertex_batch.specs.mutations import Mutator
from vertex_batch.dag_factory import build_dags
from vertex_batch.specs import Spec, SpecError, SpecSet, load_spec
from vertex_batch.specs.jobs_key import JOB_KEYS, JOBS, SPEC_KEYS

FIRST, COUNT = int(os.environ.get("FUZZ_FIRST", "0")), int(os.environ.get("FUZZ_SPECS", "2000"))
EXAMPLES = sorted((Path(__file__).resolve().parents[3] / "include" / "jobs").rglob("*.yaml"))
TEXT = (Path(__file__).resolve().parents[3] / "include/jobs/nightly_summaries.yaml").read_text()
LINES = TEXT.splitlines()
PIECES = st.sampled_from(
    [
        *"{}[]&*!|>%@`'\"#:-?,\n\t\0\x85\u2028\u202e\U0001f600",
        *(" ", ": ", "- ", "? ", "<<: ", "&a ", "*a", "!!x ", "---\n", "...\n", "%YAML 1.1\n"),
        *("{{", "}}", "{% if %}", "1e999", "0x", "-0", "null", "~", ".nan", "9" * 50, "[" * 30, "\\x00"),
        *("99999-99-99", "on", "12:30", "* * * * *", "@daily", "@once"),
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.sampled_from(LINES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


# One folder for all: to remove one costs more than to load a spec.
FOLDER = TemporaryDirectory()


def load(content: bytes) -> Spec | SpecError:
    path = Path(FOLDER.name) / "nightly.yaml"
    path.write_bytes(content)
    try:
        return load_spec(path)
    except SpecError as error:
        return error


def check(content: bytes) -> Spec | SpecError:
    result = load(content)
    if isinstance(result, SpecError):
        assert result.problems
        assert len(str(result).splitlines()) == len(result.problems)
        lines = content.count(b"\n") + content.count(b"\r") + 2
        lines += content.count("\x85".encode()) + content.count("\u2028".encode())
        assert all(1 <= problem.line <= lines and problem.column >= 1 for problem in result.problems)
    return result


@st.composite
def mutated(draw: st.DrawFn) -> str:
    text = TEXT
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(text)))
        to = min(len(text), at + draw(st.integers(0, 12)))
        text = text[:at] + draw(PIECES | st.text(max_size=4)) + text[to:]
    return text


@given(mutated())
@settings(max_examples=600, deadline=1000, suppress_health_check=[HealthCheck.too_slow])
def test_a_mutated_spec_gives_a_spec_or_placed_problems(text):
    check(text.encode("utf-8", "surrogatepass"))


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=1000)
def test_any_bytes_give_placed_problems(content):
    check(content)


@given(st.sampled_from(sorted({**SPEC_KEYS, **JOB_KEYS, JOBS: None})), VALUES)
@settings(max_examples=300, deadline=1000, suppress_health_check=[HealthCheck.too_slow])
def test_any_value_of_any_key_gives_a_spec_or_placed_problems(key, value):
    import json

    text = "\n".join(line for line in LINES if not line.startswith((f"{key}:", "  ")) and line != "labels:")
    # JSON is YAML, but for NaN and infinity, which then are texts.
    check(f"{text}\n{key}: {json.dumps(value)}\n".encode("utf-8", "surrogatepass"))


@given(
    st.sampled_from(["schedule", "timezone", "start_date", "model", "inputs", "output", "deadline"]),
    st.text(max_size=60),
)
@settings(max_examples=300, deadline=1000)
def test_any_text_of_a_checked_key_gives_a_spec_or_placed_problems(key, text):
    import json

    check(
        f"{TEXT.replace(f'{key}:', f'x_{key}:')}\n{key}: {json.dumps(text)}\n".encode(
            "utf-8", "surrogatepass"
        )
    )


def built_or_told(spec: Spec, content: bytes) -> None:
    """See that a good spec gives a DAG. Only what it imports by a path may refuse it, and says so."""
    found = SpecSet({spec.name: spec})
    dags = build_dags(found)
    if found.errors:
        assert b"arguments" in content
        assert "schedule" in str(found.errors[0])
    else:
        assert dags[0].task_ids


def test_thousands_of_mutated_specs_give_valid_dags_or_placed_problems():
    mutator = Mutator([path.read_text() for path in EXAMPLES if not path.name.startswith("_")])
    good = broken = 0
    for number in range(FIRST, FIRST + COUNT):
        content = mutator.make(number)
        try:
            result = check(content)
            if isinstance(result, Spec):
                good += 1
                built_or_told(result, content)
            else:
                broken += 1
        except BaseException as error:
            error.add_note(f"Mutation {number}: FUZZ_FIRST={number} FUZZ_SPECS=1\n{content[:3000]!r}")
            raise
    assert good + broken == COUNT
    # Of as many, some are always good; a mutator that only makes nonsense would find little.
    assert COUNT < 1000 or COUNT / 50 < good < COUNT / 2, (good, broken)
