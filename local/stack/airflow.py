"""The real Airflow: its four processes and a home folder of their own, or a cluster of them.

All settings come through the environment, so that no airflow.cfg of the machine takes part.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import httpx

from local.stack.airflow_api import AirflowApi, AirflowApiError
from local.stack.cluster import HOST_FUNCTION, Cluster, machine_environment
from local.stack.metadata import metadata_url
from local.stack.paths import MAIN_BIN, REPOSITORY
from local.stack.ports import LOOPBACK
from local.stack.postgres import running
from local.stack.processes import Service, answers

LOGIN, PASSWORD = "admin", "admin"  # printed for the person at this machine; loopback only
API_SERVER, SCHEDULER, DAG_PROCESSOR, TRIGGERER = "api-server", "scheduler", "dag-processor", "triggerer"
AIRFLOW_ROLES = frozenset({API_SERVER, SCHEDULER, DAG_PROCESSOR, TRIGGERER})
SCHEDULERS, TRIGGERERS = (SCHEDULER, "scheduler-2"), (TRIGGERER, "triggerer-2")  # of a cluster
PRELOAD = "import vertex_batch.preload\n"  # as in the image


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


@dataclass(frozen=True)
class AirflowSite:
    """One installation: where it lives, which DAGs it has, and what its connections lead to.

    :param home: AIRFLOW_HOME; made if it is missing.
    :param database: the folder of the PostgreSQL server with its metadata.
    :param specs: folder of the job specs.
    :param connections: connection id -> what Airflow takes as a connection in JSON.
    :param settings: further AIRFLOW__ variables, or others that the processes see; these win.
    :param cluster: None: tasks run in the scheduler's machine.
    """

    home: Path
    port: int
    database: Path
    database_port: int
    dags: Path
    specs: Path
    storage_url: str
    connections: Mapping[str, Mapping[str, object]]
    settings: Mapping[str, str] = field(default_factory=dict)
    cluster: Cluster | None = None
    fernet_key: str = field(default_factory=_fernet_key, repr=False)
    jwt_secret: str = field(default_factory=lambda: secrets.token_hex(64), repr=False)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def machines(self) -> list[str]:
        """The roles of a cluster that have a machine each."""
        return [*SCHEDULERS, *TRIGGERERS, *self.cluster.worker_roles] if self.cluster else []

    def environment(self) -> dict[str, str]:
        """What all four processes, and the ``airflow`` command line, must see alike.

        Known once the database has been prepared, as it is when the stack has started.
        """
        metadata = metadata_url(self.database, self.database_port)
        database = running(self.database, self.database_port)
        return {
            **_settings(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": metadata,
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__FERNET_KEY": self.fernet_key,
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__SECRET_KEY": self.jwt_secret,
            "AIRFLOW__API_AUTH__JWT_SECRET": self.jwt_secret,
            **{
                f"AIRFLOW_CONN_{name.upper()}": json.dumps(connection)
                for name, connection in self.connections.items()
            },
            "STORAGE_EMULATOR_HOST": self.storage_url,
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # else gcsfs asks Google over gRPC for a minute
            "GOOGLE_CLOUD_PROJECT": "demo-project",
            "NO_GCE_CHECK": "true",
            # This tree, also where the environment has another checkout installed.
            "PYTHONPATH": str(REPOSITORY / "plugins"),
            "VERTEX_BATCH_SPECS_FOLDER": str(self.specs),
            "PATH": f"{MAIN_BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            **(self.cluster.environment(database, metadata) if self.cluster else {}),
            **self.settings,
        }


def _settings(home: Path) -> dict[str, str]:
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{LOGIN}:ADMIN",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        # A new spec in the folder becomes a DAG within seconds.
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "20",
        # On a busy machine the API server's first answers take longer than the usual 5 s.
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
        # Airflow's own: it would be in every task's log.
        "PYTHONWARNINGS": "ignore:GitWildMatchPattern:DeprecationWarning",
    }


def prepare_home(site: AirflowSite) -> None:
    """Make the home folder: login and an empty configuration file."""
    site.home.mkdir(parents=True, exist_ok=True)
    (site.home / "passwords.json").write_text(json.dumps({LOGIN: PASSWORD}))
    # Four processes that find no file would all write one at once.
    for home in (site.home, *(site.home.parent / role for role in site.machines)):
        (home / "config").mkdir(parents=True, exist_ok=True)
        (home / "airflow.cfg").write_text("# All settings come through the environment.\n")
        (home / "config" / "airflow_local_settings.py").write_text(PRELOAD + HOST_FUNCTION)


def airflow_services(site: AirflowSite) -> list[Service]:
    """Describe the four processes, or those of the cluster."""
    environment = site.environment()

    def service(role: str, arguments: list[str], is_ready: Callable[[datetime], bool]) -> Service:
        own = machine_environment(site.home, role) if role in site.machines else {}
        command: list[str | Path] = [MAIN_BIN / "airflow", *arguments]
        return Service(role, command, is_ready, {**environment, **own}, ready_within_seconds=300)

    address = ["--host", LOOPBACK, "--port", str(site.port)]
    # Airflow's servers of log files bind all interfaces; here the API server reads the files themselves.
    schedules, triggers = [SCHEDULER, "--skip-serve-logs"], [TRIGGERER, "--skip-serve-logs"]
    services = [
        service(API_SERVER, [API_SERVER, *address, "--workers", "1"], answers(f"{site.url}/api/v2/version")),
        service(DAG_PROCESSOR, [DAG_PROCESSOR], _beats(site, "dag_processor")),
    ]
    if site.cluster is None:
        schedules_tasks = service(SCHEDULER, schedules, _beats(site, "scheduler"))
        return [*services, schedules_tasks, service(TRIGGERER, triggers, _beats(site, "triggerer"))]
    services += [service(role, schedules, _machine_beats(site, role)) for role in SCHEDULERS]
    services += [service(role, triggers, _machine_beats(site, role)) for role in TRIGGERERS]
    for role in site.cluster.worker_roles:
        works = ["celery", "worker", "--skip-serve-logs", "--celery-hostname", role, "--without-mingle"]
        services.append(service(role, works, site.cluster.answers_ping(role)))
    return services


def _beats(site: AirflowSite, part: str) -> Callable[[datetime], bool]:
    """Make a check for a process without a port: the API server has seen a heartbeat of it since its start.

    Its status alone is not enough, because a killed process stays "healthy" for half a minute.
    """

    def is_ready(started_at: datetime) -> bool:
        try:
            health = httpx.get(
                f"{site.url}/api/v2/monitor/health", timeout=5, trust_env=False
            ).raise_for_status()
        except httpx.HTTPError:
            return False
        beat = health.json()[part][f"latest_{part}_heartbeat"]
        return beat is not None and datetime.fromisoformat(beat) > started_at

    return is_ready


def _machine_beats(site: AirflowSite, role: str) -> Callable[[datetime], bool]:
    """Make a check for one of several schedulers or triggerers, which the API server reports as one."""
    airflow = AirflowApi(site.url, LOGIN, PASSWORD)

    def is_ready(started_at: datetime) -> bool:
        try:
            jobs = airflow.call("GET", "/jobs", params={"hostname": role, "is_alive": True})["jobs"]
        except (AirflowApiError, httpx.HTTPError):
            return False
        return any(datetime.fromisoformat(job["start_date"]) > started_at for job in jobs)

    return is_ready
