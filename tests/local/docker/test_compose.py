"""The reader of docker-compose.yaml: Compose's interpolation."""

import pytest

from local.docker.compose import InterpolationError, expressions, interpolate, parse_settings, resolve

SETTINGS = {"SET": "one", "EMPTY": ""}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("a ${SET} b ${SET}", "a one b one"),
        ("${UNSET}", ""),
        ("${EMPTY:-two}", "two"),
        ("${SET:-two}", "one"),
        ("${SET:+three}", "three"),
        ("${EMPTY:+three}", ""),
        ("${UNSET:-${SET}}", "one"),
        ("${UNSET:-${EMPTY:-{}}}", "{}"),
        ('{"key": "${SET}"}', '{"key": "one"}'),
        ("$${SET} $$", "${SET} $"),
    ],
)
def test_a_variable_is_filled_in_as_compose_does(text, expected):
    assert interpolate(text, SETTINGS) == expected


@pytest.mark.parametrize("text", ["${EMPTY:?is missing}", "${UNSET:?is missing}", "$SET", "${SET", "${SET!}"])
def test_what_compose_would_refuse_is_refused(text):
    with pytest.raises(InterpolationError):
        interpolate(text, SETTINGS)


def test_a_value_that_looks_like_a_variable_is_not_filled_in_again():
    assert interpolate("${OUTER} ${SET}", {"OUTER": "${SET}", "SET": "one"}) == "${SET} one"


def test_texts_are_found_at_every_depth():
    assert resolve({"a": ["${SET}", 1, {"b": "${SET}"}]}, SETTINGS) == {"a": ["one", 1, {"b": "one"}]}
    assert expressions("x ${A:-${B}} $${C} ${D}") == ["A:-${B}", "D"]


def test_an_environment_file_is_read_without_comments_and_quotes():
    assert parse_settings('# no\n\nA=1\nB=\'{"c": "d=e"}\'\nC=\n') == {"A": "1", "B": '{"c": "d=e"}', "C": ""}
