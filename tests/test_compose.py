"""docker-compose.yaml, checked as far as it can be without a Docker engine: its structure and its settings.

The Compose Specification's own schema sees misspelt keys; what it cannot see (names that lead nowhere, a port
open to the network, a secret with a default) is checked here, for both values of STACK.
"""

import json
import re
import runpy
from collections import Counter
from typing import Any

import jsonschema
import pytest

from local.docker import compose

ROOT = compose.ROOT
RAW = compose.raw()
SERVICES: dict[str, Any] = RAW["services"]
EXAMPLE = compose.parse_settings(compose.EXAMPLE.read_text())


@pytest.fixture
def environment() -> dict[str, str]:
    return compose.fresh_settings()


@pytest.fixture(params=["local", "cloud"])
def stack(request: pytest.FixtureRequest, environment: dict[str, str]) -> dict[str, Any]:
    """The file as Compose sees it, everything filled in."""
    return compose.resolve(RAW, environment | {"STACK": request.param})


def test_the_file_is_valid_after_interpolation_by_the_compose_specifications_schema(stack):
    schema = json.loads((ROOT / "tests" / "data" / "compose-spec.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(stack)] == []


def test_the_schema_refuses_a_misspelt_key():
    schema = json.loads((ROOT / "tests" / "data" / "compose-spec.json").read_text())
    wrong = {"services": {"redis": {"image": "redis:7.2-bookworm", "heathcheck": {"test": ["CMD", "true"]}}}}
    assert not jsonschema.Draft202012Validator(schema).is_valid(wrong)


def test_it_has_the_services_of_airflows_own_file_and_the_proxy():
    profiles = {name: tuple(one.get("profiles", ())) for name, one in SERVICES.items()}
    always = {"postgres", "redis", "litellm", "airflow-init", "airflow-apiserver", "airflow-scheduler"}
    always |= {"airflow-dag-processor", "airflow-triggerer", "airflow-worker"}
    assert profiles == dict.fromkeys(always, ()) | {
        "flower": ("flower",),
        "identity": ("local",),
        "emulator": ("local",),
        "gcs": ("local",),
    }


def test_an_image_is_built_by_one_service_and_used_by_others_that_start_after_it(stack):
    """A second builder of a tag fails on the containerd store; on the other one it recreates containers."""
    builders = Counter(one["image"] for one in stack["services"].values() if "build" in one)
    assert set(builders.values()) == {1}
    building = [name for name, one in SERVICES.items() if "build" in one]
    assert building == ["airflow-init", "litellm", "identity"]
    ours = {name: one["image"] for name, one in stack["services"].items() if "vertex-batch" in one["image"]}
    assert set(ours.values()) == builders.keys()


def test_a_build_takes_a_package_index_and_base_images_from_the_environment():
    dockerfile = (ROOT / "Dockerfile").read_text()
    arguments = {tuple(one["build"]["args"]) for one in SERVICES.values() if "build" in one}
    assert arguments == {
        ("AIRFLOW_IMAGE", "PYTHON_IMAGE", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST")
    }
    for stage in re.split(r"(?m)^FROM ", dockerfile)[1:]:
        if "pip install" in stage:
            assert "\nARG PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST\n" in stage
    bases = set(re.findall(r"(?m)^FROM (\S+)", dockerfile))
    assert bases == {"${AIRFLOW_IMAGE}", "${PYTHON_IMAGE}", "airflow"}
    assert not re.search(r"(?m)^# *syntax *=", dockerfile), "an image that no build argument redirects"


@pytest.mark.parametrize("name", SERVICES)
def test_the_log_of_a_service_has_a_limit(name):
    assert SERVICES[name]["logging"]["options"].keys() == {"max-size", "max-file"}


def test_no_service_leaves_an_anonymous_volume(stack):
    # What the base images declare with VOLUME.
    declared = {"postgres": "/var/lib/postgresql/data", "redis": "/data"}
    for name, path in declared.items():
        assert [entry.split(":")[1] for entry in stack["services"][name]["volumes"]] == [path]


def test_the_triggerer_may_wait_for_many_jobs(stack):
    triggerer = stack["services"]["airflow-triggerer"]
    capacity = int(triggerer["environment"]["AIRFLOW__TRIGGERER__CAPACITY"])
    assert capacity == 10_000
    # One open log file for each trigger, beside the sockets.
    assert int(triggerer["ulimits"]["nofile"]) > 2 * capacity


def test_profiles_of_the_documentation_are_set_in_the_env_file_which_the_option_would_replace():
    texts = [compose.FILE.read_text(), (ROOT / "docs" / "deployment.md").read_text()]
    assert not any(re.search(r"docker compose --profile|compose run ", text) for text in texts)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_waits_only_for_what_can_become_true(name):
    for other, how in SERVICES[name].get("depends_on", {}).items():
        target = SERVICES[other]
        if how["condition"] == "service_healthy":
            assert "healthcheck" in target, other
        if how["condition"] == "service_completed_successfully":
            assert target["restart"] == "no", f"{other} would start again for ever"
        if not set(target.get("profiles", [])) <= set(SERVICES[name].get("profiles", [])):
            assert how.get("required") is False, f"{other} is not there outside its profile"


@pytest.mark.parametrize("kind", ["volumes", "networks", "secrets"])
def test_what_is_used_is_declared_and_what_is_declared_is_used(kind):
    used = {entry.split(":")[0] for one in SERVICES.values() for entry in one.get(kind, [])}
    named = {entry for entry in used if not entry.startswith(".")}
    assert named == RAW[kind].keys()


def test_ports_are_published_on_loopback_only_and_the_databases_not_at_all(stack):
    published = {name: one["ports"] for name, one in stack["services"].items() if "ports" in one}
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for ports in published.values() for port in ports)
    assert not published.keys() & {"postgres", "redis", "gcs"}


def test_the_databases_share_no_network_with_the_proxy_and_have_no_way_out():
    assert RAW["networks"]["data"] == {"internal": True}
    exposed = {name for name, one in SERVICES.items() if "data" in one["networks"]}
    assert not exposed & {"litellm", "emulator", "gcs", "identity"}
    assert [SERVICES[name]["networks"] for name in ("postgres", "redis")] == [["data"], ["data"]]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_runs_without_root_and_cannot_become_it(name):
    user = SERVICES[name]["user"]
    assert user in {"postgres", "redis", "65534:65534", "${AIRFLOW_UID:-50000}:0"}
    assert SERVICES[name]["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in SERVICES[name]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_that_stays_up_is_watched_and_started_again(name):
    if name in {"airflow-init", "identity"}:
        assert SERVICES[name]["restart"] == "no"
    else:
        assert SERVICES[name]["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
        assert SERVICES[name]["restart"] == "unless-stopped"


def test_every_variable_is_a_setting_of_the_example_or_has_a_default():
    pending = [text for text in compose.strings(RAW) if "$" in text]
    used: set[str] = set()
    optional = {"AIRFLOW_IMAGE_NAME", "LITELLM_IMAGE_NAME", "EMULATOR_IMAGE_NAME"}
    while pending:
        for expression in compose.expressions(pending.pop()):
            match = compose.variable(expression)
            used.add(match["name"])
            if match["argument"] and match["operator"] != "?":
                pending.append(match["argument"])
            if match["name"] in optional:
                assert match["operator"] == "-", expression
    assert used - EXAMPLE.keys() == optional
    assert EXAMPLE.keys() - used == {"COMPOSE_PROFILES"}  # Compose reads that one itself


def test_a_secret_has_no_default_and_is_generated(environment):
    required = {"FERNET_KEY", "JWT_SECRET", "API_SECRET_KEY", "AIRFLOW_PASSWORD", "POSTGRES_PASSWORD"}
    required |= {"BATCH_COSTS_PASSWORD", "LITELLM_MASTER_KEY"}
    text = compose.FILE.read_text()
    for name in required:
        assert f"${{{name}:?" in text, name
        assert f"${{{name}:-" not in text, name
        assert re.fullmatch(r"[\w-]{16,}=?", environment[name]), name
    assert not any(EXAMPLE[name] for name in required)


def test_an_env_file_that_is_there_is_kept_and_completed(tmp_path):
    write_env = runpy.run_path(str(ROOT / "config" / "write_env.py"))["main"]
    target = tmp_path / ".env"
    target.write_text("STACK=cloud\nFERNET_KEY=mine\nPOSTGRES_PASSWORD=set-by-hand")
    write_env(target)
    first = target.read_text()
    write_env(target)
    assert target.read_text() == first
    settings = compose.parse_settings(first)
    assert settings.keys() == EXAMPLE.keys()
    assert settings | {"STACK": "cloud", "FERNET_KEY": "mine", "POSTGRES_PASSWORD": "set-by-hand"} == settings


def test_a_fresh_env_file_is_readable_for_its_owner_alone(tmp_path):
    runpy.run_path(str(ROOT / "config" / "write_env.py"))["main"](tmp_path / ".env")
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0


def test_every_path_on_the_host_is_in_the_repository(stack):
    paths = {entry.split(":")[0] for one in stack["services"].values() for entry in one.get("volumes", [])}
    paths = {path for path in paths if path.startswith(".")}
    paths |= {one["env_file"] for one in stack["services"].values() if "env_file" in one}
    paths |= {secret["file"] for secret in stack["secrets"].values()}
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []
