from __future__ import annotations

import dataclasses
import ssl

import pytest

from vertex_batch.errors import ConfigurationError
from vertex_batch.vertex.client import ProxyConfig

KEY = "sk-test-0123456789"


def config(**settings) -> ProxyConfig:
    return ProxyConfig(**{"base_url": "http://litellm:4000", "api_key": KEY, **settings})


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("/vertex_ai/v1", "/vertex_ai/v1"),
        ("vertex_ai/v1/", "/vertex_ai/v1"),
        ("//vertex_ai//v1beta1//", "/vertex_ai/v1beta1"),
        ("vertex-ai/v1", "/vertex-ai/v1"),
        ("v1", "/v1"),
        ("", ""),
        ("/", ""),
    ],
)
def test_slashes_of_the_route_prefix_do_not_matter(written, meant):
    assert config(route_prefix=written).route_prefix == meant


@pytest.mark.parametrize(
    ("written", "advice"),
    [
        ("/vertex_ai", "write /vertex_ai/v1"),
        ("vertex-ai/", "write /vertex-ai/v1"),
        ("/v1/projects", "write /v1"),
        ("/v1/../admin", "plain path"),
        ("/v1?x=1", "plain path"),
        ("/v1/%2e%2e", "plain path"),
        ("/v1\n", "plain path"),
    ],
)
def test_a_prefix_that_leads_nowhere_is_refused_with_the_right_one(written, advice):
    with pytest.raises(ConfigurationError, match=advice):
        config(route_prefix=written)


@pytest.mark.parametrize(
    "url",
    [
        "litellm:4000",
        "ftp://litellm",
        "http://",
        "",
        "http://litellm:99999",
        "http://litellm:x",
        "http://litellm/?key=1",
        "http://lite llm",
        "http://[::1",
    ],
)
def test_a_base_url_that_is_none_is_refused(url):
    with pytest.raises(ConfigurationError, match="base URL"):
        config(base_url=url)


def test_a_password_in_the_base_url_is_refused_and_not_repeated():
    with pytest.raises(ConfigurationError) as caught:
        config(base_url="http://user:hunter2@litellm:4000")
    assert "hunter2" not in str(caught.value)
    assert "password field" in str(caught.value)


def test_a_base_url_may_have_a_path_and_a_slash_at_its_end():
    assert config(base_url="https://gateway.example/llm/").base_url == "https://gateway.example/llm"


@pytest.mark.parametrize("key", ["", "sk-a b", "sk-a\n", "sk-ä"])
def test_a_key_that_no_header_can_hold_is_refused_and_not_repeated(key):
    with pytest.raises(ConfigurationError, match="key") as caught:
        config(api_key=key)
    assert not key or key not in str(caught.value)


def test_everything_that_is_wrong_is_told_at_once():
    with pytest.raises(ConfigurationError) as caught:
        ProxyConfig("litellm", "", route_prefix="/vertex_ai", timeout_seconds=0, connect_timeout_seconds=-1)
    assert len(caught.value.problems) == 5


def test_the_key_is_in_no_representation():
    assert KEY not in repr(config())
    assert KEY not in str(config())


def test_the_settings_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        config().api_key = "other"


def test_a_certificate_file_that_is_not_there_is_a_configuration_error(tmp_path):
    with pytest.raises(ConfigurationError, match=r"ca\.pem"):
        config(verify=str(tmp_path / "ca.pem")).tls()


def test_a_certificate_file_without_certificates_is_a_configuration_error(tmp_path):
    file = tmp_path / "ca.pem"
    file.write_text("nothing")
    with pytest.raises(ConfigurationError, match="no certificates"):
        config(verify=str(file)).tls()


def test_a_certificate_file_becomes_a_context_that_verifies():
    import certifi

    context = config(verify=certifi.where()).tls()
    assert isinstance(context, ssl.SSLContext)
    assert context.verify_mode is ssl.CERT_REQUIRED
