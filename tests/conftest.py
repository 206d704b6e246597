"""Set the scene before Airflow is imported: a throwaway home, and none of the caller's settings."""

import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any

import hypothesis
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
# A stack takes a minute to start, and is then waited for more than it works. So the system tests share two: a
# worker has all tests of a stack, one after another, and other workers use the processor meanwhile.
STACKS = ("the first stack", "the second stack")
ON_THE_FIRST_STACK = [
    f"tests/system/test_{name}.py"
    for name in (
        "unasked_runs",
        "actions",
        "kills",
        "mapped",
        "shell",
        "stack",
        "no_answers",
        "recorded",
        "pages",
        "proxy",
        "ends",
    )
]
WITH_A_STACK_OF_THEIR_OWN = [
    f"tests/system/test_{name}.py" for name in ("cluster", "demo", "night", "proxy_database")
]
LONG = [
    f"tests/{name}.py"
    for name in (
        "vertex_batch/cli/test_run",
        "vertex_batch/ui/test_looks",
        "test_packaging",
        "vertex_batch/storage/test_kills",
        "vertex_batch/costs/test_focus_validator",
        "vertex_batch/usage/test_plain",
        "vertex_batch/usage/test_plain_rows_memory",
        "vertex_batch/usage/test_memory",
        "vertex_batch/usage/test_properties",
        "vertex_batch/usage/test_golden",
        "vertex_batch/costs/test_table",
    )
]
_FOREIGN = (
    "AIRFLOW",
    "GOOGLE_",
    "STORAGE_EMULATOR",
    "GCE_",
    "LITELLM_",
    "VERTEX_",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
)
_HOME = tempfile.mkdtemp(prefix="vertex-batch-airflow-")

# How long an example takes says nothing on a busy machine; pytest's own limit is for what hangs.
hypothesis.settings.register_profile("without deadlines", deadline=None)
hypothesis.settings.load_profile("without deadlines")

for _name in [name for name in os.environ if name.upper().startswith(_FOREIGN)]:
    del os.environ[_name]
os.environ.update(
    {
        "AIRFLOW_HOME": _HOME,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
    }
)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts background processes like this, and what a test starts would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the tests by what takes longest, so that all workers end at about the same time."""
    items.sort(key=lambda item: _rank(_part(item.path.relative_to(REPOSITORY).as_posix())))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give a worker one part after another, in their order. A part is a file, or all that share a stack."""
    from xdist.scheduler import LoadScopeScheduling

    class Parts(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _part(nodeid.partition("::")[0])

    return Parts(config, log)


def _part(file: str) -> str:
    if not file.startswith("tests/system/") or file in WITH_A_STACK_OF_THEIR_OWN:
        return file
    return STACKS[0] if file in ON_THE_FIRST_STACK else STACKS[1]


def _rank(part: str) -> int:
    first = [*STACKS, *LONG, *WITH_A_STACK_OF_THEIR_OWN]
    return first.index(part) if part in first else len(first)


def pytest_unconfigure() -> None:
    shutil.rmtree(_HOME, ignore_errors=True)
