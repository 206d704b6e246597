"""Airflow's public REST API, as a person's script would call it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx

from local.waiting import check_lost_connection, wait_until

__all__ = ["FINISHED", "AirflowApi", "AirflowApiError", "Json", "wait_until"]

FINISHED = frozenset({"success", "failed"})
Json = dict[str, Any]


class AirflowApiError(Exception):
    """Airflow refused a call.

    :param answer: what it said; the message quotes it.
    """

    def __init__(self, answer: httpx.Response) -> None:
        request = answer.request
        super().__init__(f"{request.method} {request.url}: {answer.status_code} {answer.text[:1000]}")
        self.answer = answer


class AirflowApi:
    """Trigger, watch, clear and mark runs.

    Answers are Airflow's own JSON. What waits polls. It raises TimeoutError when its time is up, and
    StackError as soon as a process of a running stack has ended unexpectedly.

    :param url: such as ``http://127.0.0.1:8080``.
    """

    def __init__(self, url: str, login: str, password: str) -> None:
        self.url = url
        self._login = {"username": login, "password": password}
        self._client = httpx.Client(base_url=url, timeout=120, trust_env=False)

    def close(self) -> None:
        self._client.close()

    def call(self, method: str, path: str, **arguments: Any) -> Json:
        """Call a path below ``/api/v2`` and return the JSON object of the answer; it is empty without one."""
        if "authorization" not in self._client.headers:
            self._client.headers["authorization"] = f"Bearer {self.token()}"
        answer = self._request(method, f"/api/v2{path}", **arguments)
        if answer.is_error:
            raise AirflowApiError(answer)
        found: Json = answer.json() if answer.content else {}
        return found

    def _list(self, path: str, name: str, **parameters: str | int) -> list[Json]:
        found: list[Json] = self.call("GET", path, params={"limit": 1000, **parameters})[name]
        return found

    def token(self) -> str:
        """Sign in; the token is good for a header, and as the cookie of a browser."""
        answer = self._request("POST", "/auth/token", json=self._login)
        if answer.is_error:
            raise AirflowApiError(answer)
        return str(answer.json()["access_token"])

    def _request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            return self._client.request(method, path, **arguments)
        except httpx.TransportError:
            check_lost_connection()
            raise

    # DAGs

    def dag(self, dag_id: str) -> Json:
        return self.call("GET", f"/dags/{dag_id}")

    def dag_ids(self) -> list[str]:
        return [dag["dag_id"] for dag in self._list("/dags", "dags")]

    def import_errors(self) -> list[Json]:
        return self._list("/importErrors", "import_errors")

    def reparse(self, dag_id: str) -> None:
        """Have the DAG's file read next, and so all DAGs that are in it or that it makes."""
        try:
            self.call("PUT", f"/parseDagFile/{self.wait_for_dag(dag_id)['file_token']}")
        except AirflowApiError as error:
            if error.answer.status_code != httpx.codes.CONFLICT:  # it is still to be read for an earlier call
                raise

    def wait_for_new_dag(self, dag_id: str, of_same_file: str, timeout_seconds: float = 150) -> Json:
        """Wait for a DAG that a file makes since it was read last. `of_same_file` is another DAG of it.

        The file is asked for again and again: Airflow forgets a call that comes while it reads the file.
        """

        def found() -> Json | None:
            self.reparse(of_same_file)
            try:
                return self.wait_for_dag(dag_id, timeout_seconds=15)
            except TimeoutError:
                return None

        errors = lambda: f"import errors: {self.import_errors()}"  # noqa: E731
        return wait_until(found, f"new DAG {dag_id}", timeout_seconds, errors)

    def wait_for_dag(self, dag_id: str, timeout_seconds: float = 150) -> Json:
        """Wait until the DAG processor has read the DAG."""

        def found() -> Json | None:
            try:
                return self.dag(dag_id)
            except AirflowApiError as error:
                if error.answer.status_code == httpx.codes.NOT_FOUND:
                    return None
                raise

        errors = lambda: f"import errors: {self.import_errors()}"  # noqa: E731
        return wait_until(found, f"DAG {dag_id}", timeout_seconds, errors)

    def unpause(self, dag_id: str) -> Json:
        return self.call("PATCH", f"/dags/{dag_id}", json={"is_paused": False})

    def pause(self, dag_id: str) -> Json:
        return self.call("PATCH", f"/dags/{dag_id}", json={"is_paused": True})

    # Runs

    def trigger(self, dag_id: str, *, logical_date: datetime | str | None = None, **fields: Any) -> Json:
        """Start a run by hand; without a logical date unless one is given.

        :param fields: ``conf``, ``dag_run_id``, ``note``, ...
        """
        return self.call(
            "POST", f"/dags/{dag_id}/dagRuns", json={"logical_date": _iso(logical_date), **fields}
        )

    def runs(self, dag_id: str) -> list[Json]:
        """List the newest 100 runs, the newest first."""
        return self._list(f"/dags/{dag_id}/dagRuns", "dag_runs", limit=100, order_by="-run_after")

    def run(self, dag_id: str, run_id: str) -> Json:
        return self.call("GET", _run_path(dag_id, run_id))

    def wait_for_run(self, dag_id: str, run_id: str, timeout_seconds: float = 240) -> Json:
        """Wait until the run has ended, well or badly."""

        def ended() -> Json | None:
            run = self.run(dag_id, run_id)
            return run if run["state"] in FINISHED else None

        def tasks() -> str:
            return str({task["task_id"]: task["state"] for task in self.task_instances(dag_id, run_id)})

        return wait_until(ended, f"end of {dag_id} {run_id}", timeout_seconds, tasks)

    def set_run_state(self, dag_id: str, run_id: str, state: str) -> Json:
        return self.call("PATCH", _run_path(dag_id, run_id), json={"state": state})

    def clear_run(self, dag_id: str, run_id: str) -> Json:
        path = f"{_run_path(dag_id, run_id)}/clear"
        return self.call("POST", path, json={"dry_run": False, "only_failed": False})

    # Backfills

    def backfill(self, dag_id: str, *, start: datetime | str, end: datetime | str, **fields: Any) -> Json:
        """Start a backfill of all schedule points from ``start`` to ``end``, both included.

        :param fields: ``reprocess_behavior``, ``max_active_runs``, ``dag_run_conf``, ...
        """
        return self.call("POST", "/backfills", json=_backfill_body(dag_id, start, end, fields))

    def backfill_dates(
        self, dag_id: str, *, start: datetime | str, end: datetime | str, **fields: Any
    ) -> list[str]:
        """List the logical dates of the runs that `backfill` would make now."""
        body = _backfill_body(dag_id, start, end, fields)
        return [
            run["logical_date"] for run in self.call("POST", "/backfills/dry_run", json=body)["backfills"]
        ]

    def wait_for_backfill(self, dag_id: str, expected: int, timeout_seconds: float = 240) -> list[Json]:
        """Wait until so many backfill runs exist and all have ended. Airflow closes the backfill later."""

        def ended() -> list[Json] | None:
            runs = [run for run in self.runs(dag_id) if run["run_type"] == "backfill"]
            done = len(runs) >= expected and all(run["state"] in FINISHED for run in runs)
            return runs if done else None

        return wait_until(ended, f"{expected} backfill runs of {dag_id}", timeout_seconds)

    # Tasks. Of a mapped task, the first map index is meant.

    def task_instances(self, dag_id: str, run_id: str) -> list[Json]:
        return self._list(f"{_run_path(dag_id, run_id)}/taskInstances", "task_instances")

    def task_instance(self, dag_id: str, run_id: str, task_id: str) -> Json:
        found = [each for each in self.task_instances(dag_id, run_id) if each["task_id"] == task_id]
        if not found:
            raise LookupError(f"{dag_id} {run_id} has no task {task_id}")
        return min(found, key=lambda each: each["map_index"])

    def instance_path(self, dag_id: str, run_id: str, task_id: str) -> str:
        """Return the path of the task's first map index."""
        return f"{_task_path(dag_id, run_id, task_id)}/{self._index(dag_id, run_id, task_id)}"

    def wait_for_task(
        self, dag_id: str, run_id: str, task_id: str, states: Sequence[str], timeout_seconds: float = 180
    ) -> Json:
        """Wait until the task is in one of the states."""

        def reached() -> Json | None:
            task = self.task_instance(dag_id, run_id, task_id)
            return task if task["state"] in states else None

        what = f"{dag_id}.{task_id} to be {' or '.join(states)}"
        return wait_until(reached, what, timeout_seconds, lambda: self._state(dag_id, run_id, task_id))

    def set_task_state(self, dag_id: str, run_id: str, task_id: str, state: str) -> Json:
        """Mark the task as a person would; ``failed`` kills it."""
        return self.call("PATCH", self.instance_path(dag_id, run_id, task_id), json={"new_state": state})

    def extra_links(self, dag_id: str, run_id: str, task_id: str) -> Json:
        """Return the addresses behind the task's buttons, by their names."""
        index = {"map_index": self._index(dag_id, run_id, task_id)}
        path = f"{_task_path(dag_id, run_id, task_id)}/links"
        links: Json = self.call("GET", path, params=index)["extra_links"]
        return links

    def clear_tasks(self, dag_id: str, run_id: str, task_ids: Sequence[str], **fields: Any) -> Json:
        body = {"dry_run": False, "dag_run_id": run_id, "task_ids": list(task_ids), "only_failed": False}
        return self.call(
            "POST", f"/dags/{dag_id}/clearTaskInstances", json={**body, "reset_dag_runs": True, **fields}
        )

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """Return the value that the task pushed."""
        index = {"map_index": self._index(dag_id, run_id, task_id)}
        entry = self.call("GET", f"{_task_path(dag_id, run_id, task_id)}/xcomEntries/{key}", params=index)
        value = entry["value"]
        return json.loads(value) if isinstance(value, str) and value[:1] in ("{", "[", '"') else value

    def task_state_store(self, dag_id: str, run_id: str, task_id: str) -> Json:
        index = {"map_index": self._index(dag_id, run_id, task_id)}
        return self.call("GET", f"{_task_path(dag_id, run_id, task_id)}/state-store", params=index)

    def logs(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1) -> str:
        """Return the task's log, one event a line."""
        path = f"{_task_path(dag_id, run_id, task_id)}/logs/{try_number}"
        asked = {"full_content": "true", "map_index": self._index(dag_id, run_id, task_id)}
        content = self.call("GET", path, params=asked)["content"]
        return "\n".join(line if isinstance(line, str) else _log_line(line) for line in content)

    def _index(self, dag_id: str, run_id: str, task_id: str) -> int:
        """The task's first map index; -1 if it is not mapped, or not yet."""
        return int(self.task_instance(dag_id, run_id, task_id)["map_index"])

    def _state(self, dag_id: str, run_id: str, task_id: str) -> str:
        return f"it is {self.task_instance(dag_id, run_id, task_id)['state']}"


def _backfill_body(
    dag_id: str, start: datetime | str, end: datetime | str, fields: Mapping[str, Any]
) -> Json:
    return {"dag_id": dag_id, "from_date": _iso(start), "to_date": _iso(end), **fields}


def _run_path(dag_id: str, run_id: str) -> str:
    return f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"


def _task_path(dag_id: str, run_id: str, task_id: str) -> str:
    return f"{_run_path(dag_id, run_id)}/taskInstances/{task_id}"


def _iso(moment: datetime | str | None) -> str | None:
    return moment.isoformat() if isinstance(moment, datetime) else moment


def _log_line(event: Mapping[str, Any]) -> str:
    line = f"{event.get('timestamp', '')} {event.get('level', '')} {event.get('event', '')}".strip()
    raised = [
        f"{error.get('exc_type')}: {error.get('exc_value')}" for error in event.get("error_detail") or ()
    ]
    return "\n".join([line, *raised])
