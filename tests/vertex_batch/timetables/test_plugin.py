"""Every process of Airflow knows the timetables, and pays for them only where it needs one."""

from __future__ import annotations

import subprocess
import sys


def _run(program: str) -> None:
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_an_installed_package_is_enough_to_register_them():
    _run(
        "import os\n"
        "os.environ['AIRFLOW__CORE__PLUGINS_FOLDER'] = os.devnull\n"
        "from airflow.plugins_manager import get_timetables_plugins\n"
        "names = {'cron.DueRunsTimetable', 'assets.DueRunsOrAssets', 'assets.SerializedDueRunsOrAssets'}\n"
        "assert {f'vertex_batch.timetables.{name}' for name in names} <= get_timetables_plugins().keys()\n"
    )


def test_loading_the_plugin_imports_no_timetable():
    _run(
        "import sys\n"
        "import vertex_batch.timetables.plugin\n"
        "classes = {'vertex_batch.timetables.cron', 'vertex_batch.timetables.assets'}\n"
        "assert not classes & set(sys.modules)\n"
    )


def test_the_scheduler_reads_them_without_the_code_that_reads_specs():
    _run(
        "import sys\n"
        "import vertex_batch.timetables.assets, vertex_batch.timetables.cron\n"
        "assert 'vertex_batch.specs' not in sys.modules\n"
    )
