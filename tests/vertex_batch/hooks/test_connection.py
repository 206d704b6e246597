from __future__ import annotations

import pytest
from airflow.sdk import Connection

from vertex_batch.errors import ConfigurationError
from vertex_batch.hooks.connection import read_settings

KEY = "sk-test-0123456789"


def read(uri: str | None = None, extras: dict | None = None, **fields):
    if uri is not None:
        connection = Connection(conn_id="litellm_default", uri=uri)  # type: ignore[call-arg]
        return read_settings(connection, connection.extra_dejson)
    fields = {"conn_type": "litellm", "password": KEY, "host": "http://litellm:4000", **fields}
    return read_settings(Connection(conn_id="litellm_default", **fields), extras or {})


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({"host": "http://litellm:4000"}, "http://litellm:4000"),
        ({"host": "http://litellm:4000/"}, "http://litellm:4000"),
        ({"host": "https://gateway.example/llm"}, "https://gateway.example/llm"),
        ({"host": "https://gateway.example/llm", "port": 8443}, "https://gateway.example:8443/llm"),
        ({"host": "http://litellm", "port": 4000}, "http://litellm:4000"),
        ({"host": "http://litellm:4000", "port": 4000}, "http://litellm:4000"),
        ({"host": "litellm", "port": 4000}, "http://litellm:4000"),
        ({"host": "litellm", "port": 4000, "schema": "https"}, "https://litellm:4000"),
        ({"host": "litellm.example", "port": 443}, "https://litellm.example:443"),
        ({"host": "litellm.example"}, "http://litellm.example"),
        ({"host": "litellm:4000"}, "http://litellm:4000"),
        ({"host": "::1", "port": 4000}, "http://[::1]:4000"),
        ({"host": "http://[::1]", "port": 4000}, "http://[::1]:4000"),
        ({"host": " http://litellm:4000 "}, "http://litellm:4000"),
    ],
)
def test_host_schema_and_port_become_one_url(fields, url):
    assert read(**fields).config.base_url == url


@pytest.mark.parametrize(
    "uri",
    [
        f"litellm://:{KEY}@litellm:4000",
        f"litellm://http://:{KEY}@litellm:4000",
        f"litellm://:{KEY}@http%3A%2F%2Flitellm:4000",
        f"litellm://:{KEY}@litellm:4000/http",
    ],
)
def test_a_connection_written_as_a_uri_is_read(uri):
    config = read(uri).config
    assert (config.base_url, config.api_key) == ("http://litellm:4000", KEY)


def test_the_extras_are_read():
    settings = read(
        extras={
            "route_prefix": "v1/",
            "project": "demo-project",
            "location": "us-central1",
            "verify": "false",
            "timeout_seconds": "90",
            "connect_timeout_seconds": 3,
            "rout_prefix": "/x",
        }
    )
    assert settings.config.route_prefix == "/v1"
    assert settings.config.verify is False
    assert (settings.config.timeout_seconds, settings.config.connect_timeout_seconds) == (90.0, 3.0)
    assert (settings.project, settings.location) == ("demo-project", "us-central1")
    assert settings.unknown_extras == ("rout_prefix",)


@pytest.mark.parametrize("empty", [None, ""])
def test_an_extra_that_the_form_left_empty_is_not_set(empty):
    names = ("route_prefix", "project", "location", "verify", "timeout_seconds", "connect_timeout_seconds")
    settings = read(extras=dict.fromkeys(names, empty))
    assert settings == read()
    assert settings.project is None


@pytest.mark.parametrize(
    ("value", "meant"),
    [(True, True), ("true", True), ("False", False), (False, False), ("/ca.pem", "/ca.pem")],
)
def test_verify_is_a_switch_or_a_file(value, meant):
    assert read(extras={"verify": value}).config.verify == meant


def test_a_key_pasted_with_a_line_break_is_taken_without_it():
    assert read(password=f"{KEY}\n").config.api_key == KEY


def test_everything_that_is_missing_is_told_at_once():
    with pytest.raises(ConfigurationError) as caught:
        read(host="", password="", extras={"route_prefix": "/vertex_ai", "timeout_seconds": "soon"})
    text = str(caught.value)
    assert "'litellm_default'" in text
    assert len(caught.value.problems) == 4
    for word in ("host is missing", "key is missing", "route_prefix", "timeout_seconds"):
        assert word in text


def test_a_key_in_the_wrong_field_is_told_and_not_repeated():
    with pytest.raises(ConfigurationError, match="password field") as caught:
        read(login=KEY, password="")
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"host": "http://litellm:4000", "port": 4001}, "remove one of them"),
        ({"host": "ftp://litellm"}, "write http://HOST:PORT"),
        ({"host": "litellm", "schema": "litellm"}, "write http://HOST:PORT"),
        ({"host": "http://litellm:99999", "port": 4}, "write http://HOST:PORT"),
        ({"host": f"http://user:{KEY}@litellm", "port": 4000}, "password field"),
    ],
)
def test_a_host_that_leads_nowhere_is_told_without_the_key(fields, match):
    with pytest.raises(ConfigurationError, match=match) as caught:
        read(**fields)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("value", [0, -1, "nan", "inf", [1]])
def test_a_timeout_must_be_a_number_of_seconds(value):
    with pytest.raises(ConfigurationError, match="timeout_seconds"):
        read(extras={"timeout_seconds": value})
