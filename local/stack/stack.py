"""All of it together: one object that is the running stack."""

from __future__ import annotations

import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import psutil

from local.emulator.admin import EmulatorAdmin
from local.leftovers import Watchdog, sweep
from local.stack.airflow import (
    AIRFLOW_ROLES,
    LOGIN,
    PASSWORD,
    AirflowSite,
    airflow_services,
    prepare_home,
)
from local.stack.airflow_api import AirflowApi
from local.stack.certificates import make_certificates, make_service_account
from local.stack.cluster import BROKER, COSTS, Cluster, broker_service
from local.stack.emulator import LOCATION, PROJECT, emulator_service
from local.stack.gcs import ObjectStore, gcs_service
from local.stack.metadata import metadata_service
from local.stack.paths import REPOSITORY
from local.stack.ports import LOOPBACK, Ports
from local.stack.postgres import DATABASE, running
from local.stack.processes import ManagedProcess, Service, StackError
from local.stack.proxy import proxy_service
from local.stack.proxy_database import PROXY_DATABASE, database_service, proxy_settings
from local.waiting import add_check, remove_check

# When all of it goes, do not wait the ten seconds that a triggerer takes to release its triggers.
GRACE_SECONDS = 3.0
PORT_ROLES = ("api-server", "proxy", "object store", "emulator", "tunnel", DATABASE, PROXY_DATABASE, BROKER)
FIRST = (DATABASE, PROXY_DATABASE, BROKER)  # the others need them at their start


@dataclass(frozen=True)
class StackOptions:
    """What may differ between a demo and a test session.

    :param home: everything that the stack writes is below it.
    :param usual_ports: role -> the port to take if it is free; others are chosen.
    :param emulator_speed: what the durations of jobs are divided by; at 1 one takes three and a half minutes.
    :param airflow_settings: further environment variables of Airflow's processes.
    :param roles: start these only; all when empty. Airflow's processes bring their database with them.
    :param storage_front_url: a proxy in front of the object store, through which Airflow's processes reach
        it; the emulator and `Stack.gcs` do not.
    :param proxy_database: give the proxy a database, so that it has virtual keys, budgets and spend logs.
    :param workers: so many Celery workers, two schedulers and two triggerers, as if on machines of their own,
        and the cost table in PostgreSQL; 0: one scheduler that also runs the tasks, and the table in a file.
    :param restarts: start again what has ended by itself, as a service manager does; waits do not fail.
    """

    home: Path
    dags: Path = REPOSITORY / "dags"
    specs: Path = REPOSITORY / "include" / "jobs"
    usual_ports: Mapping[str, int] = field(default_factory=dict)
    emulator_speed: float = 1.0
    airflow_settings: Mapping[str, str] = field(default_factory=dict)
    roles: frozenset[str] = frozenset()
    storage_front_url: str = ""
    proxy_database: bool = False
    workers: int = 0
    restarts: bool = False


class Stack:
    """The object store, the emulated Vertex AI, the LiteLLM proxy and Airflow, all on loopback.

    A context manager: what it starts has ended when it is left, also when the process is killed meanwhile.

    :param say: called with one line for each step that a person may want to follow.
    """

    def __init__(self, options: StackOptions, say: Callable[[str], None] = lambda _: None) -> None:
        self.options = options
        self.mark = secrets.token_hex(16)
        self.master_key = f"sk-{secrets.token_hex(24)}"
        self._say = say
        self._ports = Ports(dict(options.usual_ports))
        self.port = {role: self._ports.choose(role) for role in PORT_ROLES}
        self.proxy_url = self._url("proxy")
        self.emulator_url = self._url("emulator")
        self.storage_url = self._url("object store")
        self.site = self._airflow_site()
        self.airflow = AirflowApi(self.site.url, LOGIN, PASSWORD)
        self.gcs = ObjectStore(self.storage_url)
        self.emulator = EmulatorAdmin(self.emulator_url)
        self._processes: dict[str, ManagedProcess] = {}
        self._watchdog: Watchdog | None = None

    @property
    def cost_table_url(self) -> str:
        """Where the bills are; of a cluster, this is known when the stack has started."""
        if self.site.cluster:
            return running(self.site.database, self.site.database_port).url(COSTS)
        return f"sqlite:///{self.options.home / 'costs.db'}"

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start everything at once and return when all of it is ready.

        :raises StackError: when a part does not come up; it quotes the part's log.
        """
        began = time.monotonic()
        self._watchdog = Watchdog(self.mark)
        wanted = self.options.roles
        for service in self._services():
            if service.role in wanted or not wanted or service.role in FIRST:
                log = self.options.home / "logs" / f"{service.role.replace(' ', '-')}.log"
                self._processes[service.role] = ManagedProcess(service, log, self.mark)
                self._processes[service.role].start()
            if service.role in FIRST:
                self._processes[service.role].wait_until_ready()
        self._wait_for_all(began)
        add_check(self.check)

    def check(self) -> None:
        """Raise StackError when a process has ended unexpectedly; one that `kill` has ended has not.

        Every wait calls this while the stack runs (`local.waiting`).
        """
        for process in self._processes.values():
            try:
                process.check()
            except StackError as error:
                if not self.options.restarts:
                    raise
                self._say(f"{error.role} {error.problem}; it starts again")
                process.start()

    def stop(self) -> None:
        """End everything. Harmless when there is nothing to end."""
        remove_check(self.check)
        with ThreadPoolExecutor(len(self._processes) or 1) as pool:
            users = [process for role, process in self._processes.items() if role not in FIRST]
            list(pool.map(lambda process: process.stop(GRACE_SECONDS), users))
        for role in FIRST:
            if role in self._processes:
                self._processes[role].stop()
        sweep(self.mark)
        if self._watchdog is not None:
            self._watchdog.close()
            self._watchdog = None
        for client in (self.gcs, self.emulator, self.airflow):
            client.close()

    def kill(self, role: str) -> None:
        """End one process and its forks with SIGKILL, as a crash would."""
        self._processes[role].kill()

    def restart(self, role: str) -> float:
        """Stop the process if it runs and start it; return after how many seconds it was ready."""
        process = self._processes[role]
        process.stop()
        process.start()
        return process.wait_until_ready()

    def revive(self) -> None:
        """Start what has ended, by `kill` or by itself, as a service manager does; wait until it is ready."""
        ended = [process for process in self._processes.values() if process.pid is None]
        for process in ended:
            process.start()
        for process in ended:
            process.wait_until_ready()

    def pid(self, role: str) -> int | None:
        return self._processes[role].pid

    @property
    def roles(self) -> list[str]:
        """What has been started."""
        return list(self._processes)

    def signal(self, role: str, number: signal.Signals) -> None:
        """Send a signal to a server and to all that it forked."""
        self._processes[role].signal(number)

    def family(self, role: str) -> list[psutil.Process]:
        """The server and all that it forked."""
        return self._processes[role].family()

    def log(self, role: str) -> Path:
        return self._processes[role].log

    @contextmanager
    def without(self, role: str) -> Iterator[None]:
        """Kill the process, and start it again afterwards."""
        self.kill(role)
        try:
            yield
        finally:
            self.restart(role)

    def _url(self, role: str) -> str:
        return f"http://{LOOPBACK}:{self.port[role]}"

    def _services(self) -> Iterator[Service]:
        """Describe the servers one by one: those before Airflow start while its database is prepared.

        Airflow's own are described when the database runs.
        """
        home = self.options.home
        certificates = make_certificates(home / "tls")
        account = make_service_account(
            home / "tls" / "service-account.json", project=PROJECT, token_uri=f"{self.emulator_url}/token"
        )
        token = secrets.token_hex(24)
        yield gcs_service(
            port=self.port["object store"], folder=home / "objects", front_url=self.options.storage_front_url
        )
        yield emulator_service(
            port=self.port["emulator"],
            tunnel_port=self.port["tunnel"],
            certificates=certificates,
            storage_url=self.storage_url,
            token=token,
            speed=self.options.emulator_speed,
        )
        database: Mapping[str, str] = {}
        if self.options.proxy_database:
            folder, port = home / "proxy-database", self.port[PROXY_DATABASE]
            yield database_service(folder, port, self._say)
            database = proxy_settings(folder, port, salt=self.mark)
        yield proxy_service(
            home=home / "proxy",
            port=self.port["proxy"],
            master_key=self.master_key,
            google_url=self.emulator_url,
            tunnel_url=self._url("tunnel"),
            token=token,
            certificates=certificates,
            service_account=account,
            database=database,
        )
        if not self.options.roles or self.options.roles & AIRFLOW_ROLES:
            yield metadata_service(self.site.database, self.site.database_port, self._say)
            if self.site.cluster:
                running(self.site.database, self.site.database_port).ensure_database(COSTS)
                yield broker_service(self.port[BROKER], home / "broker")
            prepare_home(self.site)
            yield from airflow_services(self.site)

    def _airflow_site(self) -> AirflowSite:
        connections: dict[str, dict[str, object]] = {
            "litellm_default": {
                "conn_type": "litellm",
                "host": self.proxy_url,
                "password": self.master_key,
                "extra": {"project": PROJECT, "location": LOCATION},
            },
            "google_cloud_default": {
                "conn_type": "google_cloud_platform",
                "extra": {"project": PROJECT, "is_anonymous": True, "num_retries": 1},
            },
            "batch_costs": {"conn_type": "sqlite", "host": str(self.options.home / "costs.db")},
        }
        return AirflowSite(
            home=self.options.home / "airflow",
            port=self.port["api-server"],
            database=self.options.home / "postgres",
            database_port=self.port[DATABASE],
            dags=self.options.dags,
            specs=self.options.specs,
            storage_url=self.options.storage_front_url or self.storage_url,
            connections=connections,
            settings=self.options.airflow_settings,
            cluster=Cluster(self.options.workers, self.port[BROKER]) if self.options.workers else None,
        )

    def _wait_for_all(self, began: float) -> None:
        given_up = threading.Event()
        with ThreadPoolExecutor(len(self._processes)) as pool:
            waiting = {
                pool.submit(process.wait_until_ready, given_up): role
                for role, process in self._processes.items()
            }
            try:
                for ready in as_completed(waiting):
                    ready.result()
                    self._say(f"{waiting[ready]} is ready ({time.monotonic() - began:.1f} s)")
            finally:
                given_up.set()  # one that failed must not leave the others waiting for their deadlines
