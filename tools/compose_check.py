"""Run docker-compose.yaml in a Docker engine to a bill: ``make compose-check``.

A project, an environment file, ports and volumes of its own, all removed at the end; a stack that runs
already is not touched. Where the engine or a base image is missing, it says which, and ends with status 2.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from local.docker import compose
from local.emulator.admin import EmulatorAdmin
from local.stack.airflow_api import AirflowApi, AirflowApiError
from local.stack.ports import LOOPBACK, Ports
from local.waiting import wait_until

DAG = "nightly_summaries"
DUE = timedelta(hours=2, minutes=30)
"""After midnight UTC: when the DAG's schedule is due."""
ROW = json.dumps({"request": {"contents": [{"role": "user", "parts": [{"text": "My parcel is late."}]}]}})
ENGINE, COMPOSE = (25, 0), (2, 24)
SPEED = 20
_BUILT_HERE = "airflow-vertex-batch"


class MissingError(Exception):
    """What is needed to run this is not there."""


class CheckError(Exception):
    """The stack did something else than what the documentation says."""


def version(text: str) -> tuple[int, ...]:
    """Return the first two numbers of a version."""
    return tuple(int(number) for number in re.findall(r"\d+", text)[:2])


def base_images(settings: Mapping[str, str]) -> list[str]:
    """Return the images that are neither built here nor part of the repository.

    :param settings: what is set beside the defaults: base images of another registry.
    """
    arguments = re.findall(r"(?m)^ARG (\w+_IMAGE)=(\S+)$", (compose.ROOT / "Dockerfile").read_text())
    services = compose.resolve(compose.raw()["services"], compose.fresh_settings())
    images = {settings.get(name) or default for name, default in arguments}
    images |= {one["image"] for one in services.values() if not one["image"].startswith(_BUILT_HERE)}
    return sorted(images)


@dataclass
class Engine:
    """The Docker command line, with a project of its own.

    :param project: the name of all that it makes.
    :param environment: of Compose, beside this process's own.
    """

    project: str
    env_file: Path
    environment: dict[str, str] = field(default_factory=dict)

    def docker(self, *words: str, content: str | None = None, check: bool = True) -> str:
        """Run docker; return what it printed."""
        run = subprocess.run(
            ["docker", *words],
            cwd=compose.ROOT,
            env={**os.environ, **self.environment},
            input=content,
            stdin=subprocess.DEVNULL if content is None else None,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and run.returncode:
            printed = (run.stdout + run.stderr)[-6000:]
            raise CheckError(f"docker {' '.join(words)}: status {run.returncode}\n{printed}")
        return run.stdout if run.returncode == 0 else ""

    def compose(self, *words: str, content: str | None = None) -> str:
        """Run docker compose."""
        own = ("compose", "--project-name", self.project, "--env-file", str(self.env_file))
        return self.docker(*own, *words, content=content)

    def containers(self) -> set[str]:
        """Return the ids of the running containers."""
        return set(self.compose("ps", "--quiet").split())

    def require(self) -> None:
        """Check that the engine and the base images are there, and pull those that are not.

        :raises MissingError: something is missing, and what it is.
        """
        if not shutil.which("docker"):
            raise MissingError("no `docker` command: install Docker Engine")
        engine = self.docker("version", "--format", "{{.Server.Version}}", check=False)
        if version(engine) < ENGINE:
            said = f"version {engine.strip()}, which is too old" if engine else "not reachable"
            raise MissingError(f"the Docker engine is {said}: {ENGINE[0]} or newer has to run")
        plugin = self.docker("compose", "version", "--short", check=False)
        if version(plugin) < COMPOSE:
            said = f"version {plugin.strip()}, which is too old" if plugin else "missing"
            raise MissingError(f"the plugin `docker compose` is {said}: {COMPOSE[0]}.{COMPOSE[1]} or newer")
        missing = [
            image
            for image in base_images(os.environ)
            if not self.docker("image", "inspect", image, check=False)
            and not self.docker("pull", "--quiet", image, check=False)
        ]
        if missing:
            raise MissingError(f"base images that are not here and cannot be pulled: {', '.join(missing)}")


def report(text: str) -> None:
    """Print one line about what has been seen."""
    print(f"compose-check: {text}", flush=True)


def expect(what: str, *, holds: bool, seen: object) -> None:
    """Report what holds.

    :raises CheckError: it does not.
    """
    if not holds:
        raise CheckError(f"{what}: {seen}")
    report(what)


def check(engine: Engine, settings: Mapping[str, str]) -> None:
    """Start the stack, run a night to its bill, and look at what must not happen."""
    engine.compose("up", "--build", "--wait")
    report("all services are up")
    login = settings["AIRFLOW_USERNAME"], settings["AIRFLOW_PASSWORD"]
    api = AirflowApi(f"http://{LOOPBACK}:{settings['AIRFLOW_PORT']}", *login)
    night = (datetime.now(UTC) - DUE).replace(hour=0, minute=0, second=0, microsecond=0) + DUE
    with EmulatorAdmin(f"http://{LOOPBACK}:{settings['EMULATOR_PORT']}") as emulator:
        emulator.set_settings(speed=SPEED)
        put_input(engine, night)
        api.unpause(DAG)
        run_night(api, night)
        jobs = emulator.jobs()
        expect("one night is one job", holds=len(jobs) == 1, seen=[job.id for job in jobs])
    bills = bills_of(engine)
    expect("and one bill, of that job", holds=bills == [jobs[0].id], seen=bills)
    cost = engine.compose("exec", "-T", "airflow-scheduler", "vertex-batch", "cost")
    expect("the command line shows it", holds=DAG in cost, seen=cost)

    before = engine.containers()
    engine.compose("up", "--build", "--wait")
    again = engine.containers()
    expect("a second `up --build` recreates nothing", holds=before == again, seen=before ^ again)
    engine.compose("restart", "emulator", "gcs")
    with EmulatorAdmin(f"http://{LOOPBACK}:{settings['EMULATOR_PORT']}") as emulator:
        wait_until(partial(answers, emulator), "the emulator after its restart", 120)
        emulator.set_settings(speed=SPEED)
        put_input(engine, datetime.now(UTC))
        run = api.trigger(DAG)
        state = api.wait_for_run(DAG, run["dag_run_id"], timeout_seconds=600)["state"]
        expect("a run after a restart of the emulator succeeds", holds=state == "success", seen=state)
    bills = bills_of(engine)
    expect("its bill is beside the first", holds=len(bills) == 2 and jobs[0].id in bills, seen=bills)  # noqa: PLR2004
    api.close()


def put_input(engine: Engine, day: datetime) -> None:
    """Put a row where the DAG looks for its input of a day."""
    put = ("python", "-m", "local.docker.put", f"gs://demo-bucket/input/{DAG}/{day:%Y-%m-%d}.jsonl")
    engine.compose("exec", "-T", "emulator", *put, content=ROW + "\n")


def run_night(api: AirflowApi, night: datetime) -> None:
    """Trigger the run of a night, unless unpausing has started it, and wait for its end."""
    try:
        api.trigger(DAG, logical_date=night)
    except AirflowApiError as error:
        if error.answer.status_code != 409:  # noqa: PLR2004 - the schedule was first
            raise
    (run,) = api.runs(DAG)
    state = api.wait_for_run(DAG, run["dag_run_id"], timeout_seconds=600)["state"]
    expect("the run of the night succeeds", holds=state == "success", seen=state)
    try:
        api.trigger(DAG, logical_date=night)
    except AirflowApiError as error:
        expect("a second one is refused", holds=error.answer.status_code == 409, seen=error)  # noqa: PLR2004
    else:
        raise CheckError(f"Airflow started a second run of the night {night}")


def answers(emulator: EmulatorAdmin) -> bool:
    """Whether the emulator answers."""
    try:
        emulator.settings()
    except Exception:  # noqa: BLE001 - whatever its client raises while nothing listens
        return False
    return True


def bills_of(engine: Engine) -> list[str]:
    """Return the ids of the jobs that have a bill."""
    query = ("psql", "--username=airflow", "--dbname=batch_costs", "--tuples-only", "--no-align")
    printed = engine.compose("exec", "-T", "postgres", *query, "--command=SELECT job_id FROM cost_jobs")
    return printed.split()


def main() -> int:
    """Check, and remove everything again. 0: as documented; 1: it is not; 2: something is missing."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that all is removed
    with tempfile.TemporaryDirectory(prefix="compose-check-") as folder:
        env_file, ports = Path(folder) / ".env", Ports()
        names = ("AIRFLOW_PORT", "LITELLM_PORT", "FLOWER_PORT", "EMULATOR_PORT")
        chosen = {name: str(ports.choose(name)) for name in names}
        chosen |= {"STACK": "local", "COMPOSE_PROFILES": "local"}
        engine = Engine(f"compose-check-{secrets.token_hex(3)}", env_file, chosen)
        try:
            engine.require()
        except MissingError as error:
            report(f"cannot run here: {error}")
            return 2
        runpy.run_path(str(compose.WRITE_ENV))["main"](env_file)
        settings = compose.parse_settings(env_file.read_text()) | chosen
        try:
            check(engine, settings)
        except (CheckError, AirflowApiError, TimeoutError) as error:
            report(f"FAILED: {error}")
            print(engine.compose("ps", "--all"), engine.compose("logs", "--tail=40"), sep="\n")
            return 1
        finally:
            engine.compose("down", "--volumes", "--timeout=20")
        left = engine.docker("volume", "ls", "--quiet", "--filter", f"name={engine.project}")
        report(f"left behind: {left}" if left else "nothing is left behind: OK")
        return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
