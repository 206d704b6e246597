"""Set the scene before Airflow is imported: a throwaway home, and none of the caller's settings."""

import os
import shutil
import tempfile
from pathlib import Path

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


def pytest_collection_modifyitems(items):
    """The system tests go first: they wait more than they work, and the rest fills the end evenly."""
    items.sort(key=lambda item: item.path.parent.name != "system")


def pytest_unconfigure() -> None:
    shutil.rmtree(_HOME, ignore_errors=True)
