from __future__ import annotations

import json
from importlib import import_module
from importlib.resources import files

import jsonschema
import pytest
from airflow.providers_manager import ProvidersManager
from airflow.sdk import Connection

from vertex_batch import __version__
from vertex_batch.hooks.connection import KNOWN_EXTRAS
from vertex_batch.provider_info import get_provider_info


@pytest.fixture(scope="module")
def info():
    return get_provider_info()


def schema(name: str) -> dict:
    return json.loads(files("airflow").joinpath(name).read_text())


def test_it_fits_airflow_s_schema_of_installed_providers(info):
    jsonschema.validate(info, schema("provider_info.schema.json"))


def test_its_connection_types_fit_airflow_s_stricter_schema_of_provider_sources(info):
    strict = schema("provider.yaml.schema.json")["properties"]["connection-types"]
    jsonschema.validate(info["connection-types"], strict)


def test_the_form_has_a_field_for_every_extra_and_no_other(info):
    assert set(info["connection-types"][0]["conn-fields"]) == KNOWN_EXTRAS


def test_the_defaults_of_the_form_are_those_of_the_code(info):
    from vertex_batch.vertex.client import ProxyConfig

    config = ProxyConfig("http://litellm", "sk-test-key")
    defaults = {
        name: field["schema"]["default"]
        for name, field in info["connection-types"][0]["conn-fields"].items()
        if "default" in field["schema"]
    }
    assert defaults.pop("verify") == str(config.verify).lower()
    assert defaults == {name: getattr(config, name) for name in defaults}


def test_it_carries_the_package_s_version(info):
    assert info["versions"] == [__version__]


def test_what_it_names_exists(info):
    from pydoc import locate

    for name in (info["connection-types"][0]["hook-class-name"], *info["extra-links"]):
        assert locate(name) is not None


@pytest.mark.parametrize("shelf", ["hooks", "operators", "sensors", "triggers"])
def test_every_public_class_is_in_a_module_that_it_lists(info, shelf):
    package = import_module(f"vertex_batch.{shelf}")
    public = {getattr(package, name) for name in package.__all__}
    modules = {each.__module__ for each in public if isinstance(each, type) and shelf in each.__module__}
    (listed,) = info[shelf]
    assert modules <= set(listed["python-modules"])
    assert [import_module(name).__name__ for name in listed["python-modules"]] == listed["python-modules"]


def test_airflow_finds_the_connection_type_with_its_form():
    manager = ProvidersManager()
    assert manager.field_behaviours["litellm"]["relabeling"]["password"] == "LiteLLM virtual key"
    assert "extra__litellm__route_prefix" in manager.connection_form_widgets
    assert "vertex_batch.observability.links.ConsoleJobLink" in manager.extra_links_class_names


def test_airflow_makes_the_hook_of_a_connection():
    connection = Connection(
        conn_id="mine", conn_type="litellm", host="http://litellm:4000", password="sk-test-key"
    )
    hook = connection.get_hook()
    assert type(hook).__name__ == "LiteLLMHook"
    assert hook.litellm_conn_id == "mine"
