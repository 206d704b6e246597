"""The table of what versions of LiteLLM charge."""

from __future__ import annotations

import re
from datetime import date

from local.stack.paths import REPOSITORY
from tools.golden import PROXY_PYTHON, cases
from tools.litellm_costs import Figures, figures_of, table

DAY = date(2026, 11, 27)


def test_only_rows_that_tell_versions_apart_are_in_the_table():
    first, second, third, *_ = cases()
    versions = [Figures("1.1", ("0.5", "7", "3")), Figures("1.2", ("0.5", "8", "3"))]
    _, _, *lines = table([first, second, third], versions, DAY).splitlines()
    assert [second.what in line and line.endswith("| 7 | 8 |") for line in lines[:-2]] == [True]
    assert lines[-1].startswith("For the other 2 of 3 ")


def test_an_installed_version_is_run_over_the_golden_rows():
    found = figures_of(PROXY_PYTHON, cases()[:2])
    assert f"litellm=={found.version} " in (REPOSITORY / "local" / "proxy" / "requirements.txt").read_text()
    assert found.amounts == ("0.0014", "0")


def test_the_document_names_the_day_and_the_versions():
    text = (REPOSITORY / "docs" / "bill.md").read_text()
    made = text.split("<!-- made by tools.litellm_costs -->")[1].split("<!-- end -->")[0]
    assert re.search(
        r"\| rows, on 2\d{3}-\d\d-\d\d \| ours \| 1\.106\.\d+ \| 1\.108\.\d+ \| 1\.\d+\.\d+ \|", made
    )
