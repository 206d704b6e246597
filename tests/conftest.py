"""Set the scene before Airflow is imported: a throwaway home, and none of the caller's settings."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """What takes longest goes first, so that the other workers do the rest meanwhile."""
    items.sort(key=lambda item: (item.path.parent.name != "system", item.path.stem == "test_demo"))


def pytest_unconfigure() -> None:
    shutil.rmtree(_HOME, ignore_errors=True)
