"""No shipped file uses a model that stops soon, or that new projects cannot use.

The day is an input and not the clock, so that what passes today passes later: ``MODELS_ON=2027-06-01``.
"""

from __future__ import annotations

import os
import re
import subprocess
from datetime import date, timedelta

import pytest

from local.stack.paths import REPOSITORY
from vertex_batch.pricing import retirement_of

DAY = date.fromisoformat(os.environ.get("MODELS_ON", "2026-11-27"))
SOON = timedelta(days=90)
SHIPPED = (
    *("README.md", "docs/*.md", "include", "dags", "config", "local/*.py", "local/proxy", "tools/chaos"),
    *("plugins/vertex_batch/cli", "plugins/vertex_batch/specs", ":(exclude)local/emulator"),
)
MODEL = re.compile(
    r"(?<![\w.-])(?:gemini|claude|text-embedding|text-multilingual-embedding)-[a-z0-9.-]*[a-z0-9]"
)
# They explain how such models are billed, or when they stop.
ABOUT_OLD_MODELS = re.compile(r"tests/data/golden|2\.5 Flash-Lite cost in a batch")


def shipped_files():
    listed = subprocess.check_output(["git", "ls-files", "--", *SHIPPED], cwd=REPOSITORY, text=True)
    return [name for name in listed.splitlines() if not name.endswith((".svg", ".png"))]


def unfit(model, day):
    """Why a model should not be in an example of a day; empty if it may be."""
    end = retirement_of(model)
    if end is None:
        return ""
    closed = end.closed_to_new_projects is not None and end.closed_to_new_projects <= day
    return end.describe(day) if closed or (end.is_final and end.last_day - day <= SOON) else ""


def test_no_shipped_file_uses_a_model_that_stops_within_90_days():
    found = [
        f"{name}:{number}: {why}"
        for name in shipped_files()
        for number, line in enumerate((REPOSITORY / name).read_text().splitlines(), 1)
        if not ABOUT_OLD_MODELS.search(line)
        for model in MODEL.findall(line)
        if (why := unfit(model, DAY))
    ]
    assert found == []


def test_the_examples_are_among_the_files_that_are_read():
    names = shipped_files()
    assert {"README.md", "include/jobs/nightly_summaries.yaml", "docs/specs.md", "local/nights.py"} <= set(
        names
    )
    text = "".join((REPOSITORY / name).read_text() for name in names)
    assert {"gemini-3.8-flash", "gemini-embedding-001", "text-embedding-005"} <= set(MODEL.findall(text))


@pytest.mark.parametrize(
    ("model", "day", "is_fit"),
    [
        ("gemini-2.5-flash", date(2026, 10, 19), True),
        ("gemini-2.5-flash", date(2026, 10, 20), False),  # closed to new projects
        ("gemini-2.5-flash-image", date(2026, 12, 14), True),
        ("gemini-2.5-flash-image", date(2026, 12, 15), False),  # 90 days before 2027-03-15
        ("gemini-3.8-flash", date(2026, 11, 27), True),
        ("gemini-9-ultra", date(2026, 11, 27), True),
    ],
)
def test_what_is_unfit_for_an_example(model, day, is_fit):
    assert (unfit(model, day) == "") is is_fit
