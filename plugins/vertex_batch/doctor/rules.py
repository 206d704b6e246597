"""What the facts about a setup mean. Pure: plain data in, a diagnosis out."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from vertex_batch.doctor.runner import Diagnosis, failed, ok, warning
from vertex_batch.errors import count_of
from vertex_batch.lifecycle.identity import may_be_shared
from vertex_batch.vertex.proxy_versions import SecurityFlaw

TESTED_AIRFLOW = (3, 3)
_SOON = timedelta(days=14)
_NEARLY = 0.9
_TEMPLATE = re.compile(r"\{[{%#]")


def judge_version(version: str, malicious: str, flaws: Sequence[SecurityFlaw]) -> Diagnosis:
    """Judge the proxy's release.

    :param version: empty if the proxy does not report it.
    :param malicious: what to do about a malicious release; empty if it is not one.
    :param flaws: published security flaws that it may have.
    """
    if malicious:
        return failed(f"{malicious}.", "stop the proxy now; keys that it had access to are no longer secret")
    if not version:
        return warning(
            "The proxy does not report its version to this key.",
            "compare the version that runs there with docs/deployment.md: some releases are malicious",
        )
    if any(each.fixed_in for each in flaws):
        return warning(
            f"LiteLLM {version} has known security flaws: {'; '.join(map(str, flaws))}.",
            "upgrade the proxy where a fixed version exists, and let only trusted networks reach it",
        )
    if flaws:
        return ok(
            f"LiteLLM {version}; it is not a known malicious release. An upgrade does not help against"
            f" {'; '.join(map(str, flaws))}: give accounts and keys of the proxy only to people you trust,"
            " and let only trusted networks reach it."
        )
    return ok(f"LiteLLM {version}; it is not a known malicious or vulnerable release.")


def judge_key(models: int | None, info: Mapping[str, object], now: datetime) -> Diagnosis:
    """Judge the key from what the proxy says of it.

    :param models: how many models it can see; None if it may not read them.
    :param info: the proxy's record of the key; empty if there is none, for example for the master key.
    """
    facts = [f"it can see {models} models" if models is not None else "it cannot read /model/info"]
    spend, budget = _number(info.get("spend")), _number(info.get("max_budget"))
    if budget is not None:
        facts.append(f"{spend or 0:.2f} of its budget of {budget:.2f} USD is spent")
    expires = _moment(info.get("expires"))
    if expires:
        facts.append(f"it expires on {expires:%Y-%m-%d}")
    found = f"The proxy accepts the key: {', '.join(facts)}."
    if info.get("blocked"):
        return failed(f"The key is blocked. {found}", "unblock it in LiteLLM, or use another key")
    if budget is not None and (spend or 0) >= budget:
        return failed(found, "raise the key's budget in LiteLLM; until then every submission is refused")
    if budget is not None and (spend or 0) >= _NEARLY * budget:
        return warning(found, "raise the key's budget in LiteLLM before it is used up")
    if expires and expires - now < _SOON:
        return warning(
            found, "renew the key: with an expired key, running jobs cannot be watched or cancelled"
        )
    if models is None:
        return warning(
            found,
            "allow it the route /model/info, or ignore this: then bills use only the packaged prices",
        )
    return ok(found)


def judge_triggerers(alive: int, triggers: int, capacity: int) -> Diagnosis:
    """Judge the triggerers, in which all jobs wait.

    :param triggers: how many waits there are now.
    :param capacity: `[triggerer] capacity` of each.
    """
    if not alive:
        return failed(
            "No triggerer is alive. Jobs would be submitted, but no run would continue when they end.",
            "start `airflow triggerer`; runs that wait then continue, and nothing is paid for twice",
        )
    room = alive * capacity
    count = count_of(alive, "triggerer is", "triggerers are")
    found = f"{count} alive and can watch {room:,} jobs (capacity {capacity:,} each); {triggers:,} waits now."
    if triggers > _NEARLY * room:
        return warning(found, "raise [triggerer] capacity, or start another triggerer")
    return ok(found)


def judge_deployment(configured: str, name: str) -> Diagnosis:
    """Judge the deployment's name, by which its jobs are found again.

    :param configured: `[vertex_batch] deployment`; empty if it is not set.
    :param name: the name in use.
    """
    if configured:
        return ok(f"{configured!r}, from [vertex_batch] deployment.")
    found = f"It is not set, so {name!r} is used."
    if may_be_shared(name):
        return warning(
            f"{found} Another Airflow may have the same name, and would take the other's jobs for its own.",
            "set [vertex_batch] deployment to a name of its own, while no job runs",
        )
    return ok(f"{found} Set it before the address changes: jobs are found again by this name.")


def judge_pool(pool: str, exists: bool, includes_deferred: bool, slots: int) -> Diagnosis:
    """Judge a pool that specs name."""
    if not exists:
        return failed(
            f"The pool {pool!r} does not exist: the tasks of its specs would stay queued.",
            f"create it: airflow pools set {pool} 16 'Vertex batches' --include-deferred",
        )
    if not includes_deferred:
        return warning(
            f"The pool {pool!r} ({slots} slots) does not include deferred tasks, so it does not limit jobs.",
            f"airflow pools set {pool} {slots} 'Vertex batches' --include-deferred",
        )
    return ok(f"{slots} slots, deferred tasks included.")


def judge_airflow(version: str) -> Diagnosis:
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    wanted = ".".join(map(str, TESTED_AIRFLOW))
    if numbers == TESTED_AIRFLOW:
        return ok(f"Airflow {version}.")
    if numbers < TESTED_AIRFLOW:
        return failed(f"Airflow {version} is not supported.", f"upgrade Airflow to {wanted}")
    return warning(
        f"Airflow {version} is newer than the tested {wanted}.", "test it before others depend on it"
    )


def judge_cost_table(name: str, *, is_file: bool, is_ready: bool, executors: Sequence[str]) -> Diagnosis:
    """Judge a cost table that can be read and written.

    :param name: its address, without a password.
    :param is_ready: whether it exists with this version's schema.
    :param executors: those of this Airflow whose tasks may run on several machines.
    """
    state = "it can be written, and its schema is current"
    if not is_ready:
        state = "it is created or upgraded by the first task that records a cost"
    found = f"{name}: {state}."
    if is_file and executors:
        return warning(
            f"{found} It is a file on this machine, but {' and '.join(executors)} may use several.",
            "define the connection `batch_costs` with a PostgreSQL database",
        )
    return ok(found)


def judge_specs(folder: str, specs: int, errors: Sequence[str]) -> Diagnosis:
    count = f"{count_of(specs, 'spec')} in {folder}"
    if errors:
        return failed(
            f"{count}; {len(errors)} broken: {'; '.join(errors)}", "fix what `vertex-batch validate` names"
        )
    if not specs:
        return warning(
            f"There is no spec in {folder}.",
            "write one with `vertex-batch new NAME`, or set VERTEX_BATCH_SPECS_FOLDER to their folder",
        )
    return ok(f"{count}.")


def literal_folder(uri: str) -> str:
    """The part of a URI before its first template or wildcard, up to the last slash.

    :returns: empty if that part names no bucket.
    """
    start = _TEMPLATE.split(uri, maxsplit=1)[0]
    start = re.split(r"[*?\[]", start, maxsplit=1)[0]
    folder = start[: start.rfind("/") + 1]
    scheme, _, rest = folder.partition("://")
    return folder if scheme == "gs" and rest.strip("/") and "/" in rest else ""


def one_per_bucket(folders: Collection[tuple[str, str]]) -> list[tuple[str, str]]:
    """Keep the first folder of each storage connection and bucket."""
    kept: dict[tuple[str, str], tuple[str, str]] = {}
    for connection, folder in sorted(folders):
        kept.setdefault((connection, folder.split("/")[2]), (connection, folder))
    return list(kept.values())


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(value)) if value else None
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC) if moment else None
