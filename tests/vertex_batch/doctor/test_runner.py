"""A check that fails, hangs or tells a secret changes nothing for the others."""

from __future__ import annotations

import sys
import threading

from vertex_batch.doctor import CheckStatus
from vertex_batch.doctor.probes import probe_packages
from vertex_batch.doctor.runner import SetupCheck, ok, run_checks
from vertex_batch.errors import ConfigurationError


def _raise(error: Exception):
    raise error


def test_a_check_that_raises_or_hangs_does_not_hide_the_others():
    never = threading.Event()
    checks = [
        SetupCheck("wrong", "a", lambda: _raise(ConfigurationError("It is wrong"))),
        SetupCheck("bug", "", lambda: _raise(KeyError("name"))),
        SetupCheck("slow", "", lambda: ok(str(never.wait()))),
        SetupCheck("good", "b", lambda: ok("fine")),
    ]
    found = run_checks(checks, limit_seconds=0.5)
    never.set()
    assert [each.status for each in found] == [
        CheckStatus.FAILED,
        CheckStatus.FAILED,
        CheckStatus.FAILED,
        CheckStatus.OK,
    ]
    said = [each.diagnosis.found for each in found]
    assert said[0] == "It is wrong"
    assert said[1].startswith("The check itself failed: KeyError")
    assert said[2] == "No result after 0.5 s."


def test_a_missing_package_of_deliveries_is_found(monkeypatch):
    check = SetupCheck("packages", "", probe_packages)
    assert [each.status for each in run_checks([check])] == [CheckStatus.OK]
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (found,) = run_checks([check])
    assert found.status is CheckStatus.FAILED
    assert "lacks pyarrow" in found.diagnosis.found


def test_what_needs_a_failed_check_is_not_checked():
    first = SetupCheck("connection", "c", lambda: _raise(ConfigurationError("No proxy")))
    ran = []
    second = SetupCheck("key", "c", lambda: ran.append(1) or ok(""), first)
    other = SetupCheck("airflow", "", lambda: ok(""))
    found = run_checks([second, first, other])
    assert [each.status for each in found] == [CheckStatus.NOT_CHECKED, CheckStatus.FAILED, CheckStatus.OK]
    assert "`connection c`" in found[0].diagnosis.found
    assert not ran


def test_no_key_is_in_a_result():
    secret = "hunter2hunter2"
    found = run_checks(
        [
            SetupCheck("a", "", lambda: _raise(ValueError(f"Bearer {secret}"))),
            SetupCheck("b", "", lambda: ok(f"key {secret} and sk-abcdefgh")),
        ],
        [secret],
    )
    assert all(secret not in str(each.to_dict()) and "sk-abc" not in str(each.to_dict()) for each in found)
