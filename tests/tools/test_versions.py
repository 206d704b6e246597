"""What `make versions` makes of the reports of several versions. The runs themselves take minutes each."""

from __future__ import annotations

import pytest

from tools.versions import (
    CannotInstallError,
    Report,
    differences,
    install_litellm,
    proxy_requirements,
    read_junit,
    table,
    without_core,
)

JUNIT = """\
<testsuites><testsuite time="12.5">
<testcase classname="tests.system.test_proxy" name="test_a"><properties>
<property name="key: blocked" value="401 auth_error"/></properties></testcase>
<testcase classname="tests.system.test_proxy" name="test_b[1]"><failure message="no"/></testcase>
<testcase classname="tests.system.test_proxy" name="test_c"><error message="no"/></testcase>
<testcase classname="tests.system.test_proxy" name="test_d"><skipped message="no"/></testcase>
</testsuite></testsuites>
"""


def test_results_and_recorded_answers_are_read_from_a_report():
    seconds, results, facts = read_junit(JUNIT)
    assert seconds == 12.5
    assert results == {
        "test_proxy::test_a": "passed",
        "test_proxy::test_b[1]": "failed",
        "test_proxy::test_c": "failed",
        "test_proxy::test_d": "skipped",
    }
    assert facts == {"key: blocked": "401 auth_error"}


OLD = Report("LiteLLM", "1.1", results={"a": "passed", "b": "passed"}, facts={"limit": "429, no time"})
NEW = Report("LiteLLM", "1.2", results={"a": "passed", "b": "failed"}, facts={"limit": "429, 60 s"})


@pytest.mark.parametrize(
    ("reports", "lines"),
    [
        ([OLD], []),
        ([OLD, Report("LiteLLM", "1.3", "cannot be installed: no")], []),
        (
            [OLD, Report("Airflow", "3.3", results={"a": "skipped", "b": "passed"})],
            ["Airflow: a: skipped (3.3)"],
        ),
        (
            [OLD, NEW],
            ["LiteLLM: b: passed (1.1); failed (1.2)", "LiteLLM: limit: 429, no time (1.1); 429, 60 s (1.2)"],
        ),
        (
            [OLD, Report("LiteLLM", "1.3", results={"a": "passed"}, facts=OLD.facts)],
            ["LiteLLM: b: passed (1.1); not there (1.3)"],
        ),
        ([NEW], ["LiteLLM: b: failed (1.2)"]),
    ],
)
def test_what_is_not_the_same_for_all_versions_of_a_program_is_named(reports, lines):
    assert differences(reports) == lines


def test_the_table_has_a_row_for_each_version():
    rows = table([NEW, Report("LiteLLM", "1.3", "cannot be installed: no")]).splitlines()[2:]
    assert rows == [
        "| LiteLLM 1.2 | 1 | 1 | 0 | 0 |  |",
        "| LiteLLM 1.3 | 0 | 0 | 0 | 0 | cannot be installed: no |",
    ]


def test_a_lock_is_used_without_the_packages_of_one_airflow_release():
    lock = """\
# made by
apache-airflow==3.3.2 \\
    --hash=sha256:1
apache-airflow-core==3.3.2 \\
    --hash=sha256:1
apache-airflow-providers-google==22.8.0 \\
    --hash=sha256:1
apache-airflow-task-sdk==1.3.2 \\
    --hash=sha256:1
colorama==0.4.6 ; sys_platform == 'win32' \\
    --hash=sha256:1
"""
    assert without_core(lock) == [
        "apache-airflow-providers-google==22.8.0",
        "colorama==0.4.6 ; sys_platform == 'win32'",
    ]


def test_the_requirements_of_the_proxy_are_read_without_litellms_own_packages():
    metadata = """\
Metadata-Version: 2.4
Name: litellm
Requires-Dist: httpx>=0.28
Requires-Dist: litellm-proxy==1.110.2 ; extra == 'proxy'
Requires-Dist: semver>=3.0.4,<4 ; extra == 'proxy'
Requires-Dist: uvloop>=0.22.1 ; sys_platform == 'no-such-system' and extra == 'proxy'
Requires-Dist: prisma>=0.11.0 ; extra == 'extra-proxy'

Text.
"""
    assert proxy_requirements(metadata) == ["semver<4,>=3.0.4"]


def test_a_malicious_release_is_never_installed(tmp_path):
    with pytest.raises(CannotInstallError, match="malicious"):
        install_litellm(tmp_path / "environment", "1.107.0")
    assert not (tmp_path / "environment").exists()
