"""What Airflow loads in every process."""

from __future__ import annotations

import subprocess
import sys


def test_loading_the_plugin_does_not_load_the_pages():
    program = (
        "import sys\n"
        "from vertex_batch.ui.plugin import VertexBatchPlugin\n"
        "ours = {name for name in sys.modules if name.startswith('vertex_batch.ui')}\n"
        "assert ours == {'vertex_batch.ui', 'vertex_batch.ui.plugin'}, ours\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_the_door_to_the_pages_needs_no_web_framework():
    program = (
        "import sys, vertex_batch.ui as ui\n"
        "ui.Pages()\n"
        "assert not {'fastapi', 'jinja2', 'sqlalchemy', 'airflow'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
