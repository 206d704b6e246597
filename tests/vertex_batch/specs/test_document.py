from __future__ import annotations

import pytest

from vertex_batch.specs.document import MAX_DEPTH, Mark, read_document


def problems(text):
    return [str(problem) for problem in read_document(text).problems]


@pytest.mark.parametrize(
    ("written", "meaning"),
    [
        *[
            (word, word)
            for word in ("on", "off", "yes", "no", "y", "n", "On", "YES", "12:30", "1_000", "0b1", "1e", ".")
        ],
        *[(word, word) for word in ("2026-11-01", "0o8", "0xg", "+", "-a", "1.2.3", "=", "tRue")],
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-3", -3),
        ("0012", 12),
        ("0o17", 15),
        ("0x1F", 31),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("'12'", "12"),
        ('"true"', "true"),
        ("!!str 12", "12"),
        ("|\n  a\n  b\n", "a\nb\n"),
    ],
)
def test_scalars_have_their_yaml_1_2_meaning(written, meaning):
    document = read_document(f"key: {written}")

    assert document.problems == []
    assert document.data == {"key": meaning}
    assert type(document.data["key"]) is type(meaning)


def test_keys_are_always_text():
    assert read_document("{on: 1, 2: 2, true: 3, null: 4}").data == {"on": 1, "2": 2, "true": 3, "null": 4}


def test_every_value_and_key_remembers_its_place():
    document = read_document("a: 1\nlabels:\n  team: [x,\n    y]\n")

    assert document.locate(("labels", "team"), key=True) == (("labels", "team"), Mark(3, 3))
    assert document.locate(("labels", "team", 1)) == (("labels", "team", 1), Mark(4, 5))


def test_a_path_within_a_value_has_the_place_of_that_value():
    document = read_document("a: text\n")

    assert document.locate(("a", 0, "deeper")) == (("a",), Mark(1, 4))
    assert document.locate(("missing",)) == ((), Mark(1, 1))


def test_an_alias_stands_for_its_anchor_and_is_placed_where_it_is_used():
    document = read_document("a: &x {k: 1}\nb: *x\n")

    assert document.data == {"a": {"k": 1}, "b": {"k": 1}}
    assert document.locate(("b", "k")) == (("b",), Mark(2, 4))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "1:1: the file is empty"),
        ("# only a comment", "1:1: the file is empty"),
        ("a: 1\nb: 2\na: 3", "3:1: a: is set twice, first in line 1: remove one of the two"),
        ("x: {a: 1, a: 2}", "1:11: x.a: is set twice, first in line 1"),
        ("schedule: */5 * * * *", "1:12: is not YAML: while scanning an alias"),
        ("schedule: */5 * * * *", "a value that begins with `*`, such as a cron expression, needs quotes"),
        ("a: @daily", "needs quotes"),
        (
            "a: b: c",
            "1:5: is not YAML: mapping values are not allowed in this context; a value that contains",
        ),
        ("a: {{ run_date }}", "1:5: a: a value that begins with `{{` needs quotes around all of it"),
        ("a: {{ run_date }}.jsonl", "needs quotes around all of it"),
        ("a: 1\nb: 'x", "2:4: is not YAML: while scanning a quoted scalar"),
        ("a: 1\nb: [1", "2:4: is not YAML: while parsing a flow sequence"),
        ("a:\n\tb: 1", "2:1: is not YAML"),
        ("a: ü\nb: \x07", "2:4: is not YAML: control characters are not allowed"),
        ("a: 1\n---\nb: 2", "2:1: a second YAML document begins here: write one spec per file"),
        (
            "a: !!python/object/apply:os.system [ls]",
            "1:4: a: the tag `!!python/object/apply:os.system` is not allowed",
        ),
        ("a: !env HOME", "1:4: a: the tag `!env` is not allowed"),
        ("a: !!int '12'", "1:4: a: the tag `!!int` is not allowed"),
        ("a: !!binary aGk=", "1:4: a: the tag `!!binary` is not allowed"),
        ("? [a]\n: b", "1:3: a key must be a plain word"),
        (
            "base: &b {a: 1}\nx:\n  <<: *b",
            "3:3: x: merge keys (`<<`) are not part of YAML 1.2: repeat the keys",
        ),
        ("a: *nowhere", "1:4: a: there is no anchor `&nowhere` above this line"),
        ("a: &a [*a]", "1:8: a[0]: `*a` is inside its own anchor"),
        ("a: .inf", "1:4: a: `.inf` is not a number that JSON can represent"),
        ("a: 1e999", "1:4: a: `1e999` is not a number that JSON can represent"),
        ("a: " + "9" * 5000, "1:4: a: is a number of 5000 digits"),
    ],
)
def test_a_problem_names_its_place_and_its_repair(text, problem):
    assert any(found.startswith(problem) or problem in found for found in problems(text)), problems(text)


def test_problems_do_not_hide_each_other():
    assert len(problems("a: !x 1\na: 2\nb: .nan\n")) == 3


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        "{a: " * 50_000,
        "- " * 100_000,
        "a:\n" + "".join(f"{' ' * n}b:\n" for n in range(1, 60)),
    ],
)
def test_deep_nesting_is_refused_before_it_costs_the_stack(text):
    assert f"nested deeper than {MAX_DEPTH} levels" in problems(text)[-1]


def test_aliases_count_in_full_so_that_a_small_file_cannot_stand_for_a_huge_one():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]

    assert "with aliases expanded" in problems("\n".join(lines))[0]


def test_aliases_cannot_nest_deeper_than_the_limit():
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 40)]

    assert "nested deeper" in problems("\n".join(lines))[0]


def test_without_libyaml_the_meaning_is_the_same(monkeypatch):
    import yaml

    from vertex_batch.specs import document

    monkeypatch.setattr(document, "_Loader", yaml.SafeLoader)

    assert read_document("a: on\nb: [1, '2']\nc: &x y\nd: *x").data == {
        "a": "on",
        "b": [1, "2"],
        "c": "y",
        "d": "y",
    }
    assert problems("a: 1\na: 2") == ["2:1: a: is set twice, first in line 1: remove one of the two"]
    assert "control" in problems("a: \x07")[0] or "special characters" in problems("a: \x07")[0]
