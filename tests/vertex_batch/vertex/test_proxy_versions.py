"""What is known about LiteLLM's releases."""

from __future__ import annotations

from pathlib import Path

import pytest

from vertex_batch.vertex.proxy_versions import (
    FLAWS,
    MALICIOUS_VERSIONS,
    flaws_of,
    malicious_notice,
    release,
    version_in,
)

REPOSITORY = Path(__file__).resolve().parents[3]
UNFIXED = ["CVE-2026-114612"]


@pytest.mark.parametrize(
    ("version", "flaws"),
    [
        ("1.83.6", ["CVE-2026-42208", "CVE-2026-47101", "CVE-2026-49468", *UNFIXED]),
        ("1.83.13-stable", ["CVE-2026-47101", "CVE-2026-49468", *UNFIXED]),
        ("1.83.14", ["CVE-2026-49468", *UNFIXED]),
        ("1.84.0", UNFIXED),
        ("1.110.2", UNFIXED),
        ("", []),
        ("dev", []),
    ],
)
def test_a_version_has_the_flaws_that_were_fixed_later_or_not_at_all(version, flaws):
    assert [flaw.cve for flaw in flaws_of(version)] == flaws


def test_a_flaw_says_what_it_allows_and_where_it_is_fixed():
    assert [str(flaw) for flaw in flaws_of("1.83.14")] == [
        "CVE-2026-49468 (a forged Host header bypasses the key check; fixed in 1.84.0)",
        "CVE-2026-114612 (a user can become proxy admin; no version is known to fix it)",
    ]


@pytest.mark.parametrize("version", ["1.82.7", "1.82.8", "1.107.0"])
def test_a_malicious_release_has_a_notice(version):
    assert f"LiteLLM {version}, a malicious release" in malicious_notice("http://proxy", version)


@pytest.mark.parametrize("version", ["1.82.6", "1.107.1", "1.106.2", ""])
def test_another_release_has_none(version):
    assert malicious_notice("http://proxy", version) == ""


@pytest.mark.parametrize(
    ("value", "version", "numbers"),
    [
        ("1.106.2", "1.106.2", (1, 106)),
        ("1.110.0rc1", "1.110.0rc1", (1, 110)),
        ("1.108", "1.108", (1, 108)),
        ("1", "", None),
        ("1.2\n", "", None),
        (1.106, "", None),
        (None, "", None),
    ],
)
def test_what_a_proxy_reports_is_a_version_or_nothing(value, version, numbers):
    assert version_in(value) == version
    assert release(version) == numbers


def test_the_page_of_versions_lists_all_of_them():
    page = (REPOSITORY / "docs" / "versions.md").read_text()
    assert all(version in page for version in MALICIOUS_VERSIONS)
    for flaw in FLAWS:
        fixed = ".".join(map(str, flaw.fixed_in)) if flaw.fixed_in else "no fixed version is known"
        assert f"| {flaw.cve} | {flaw.what} | {fixed}" in page.replace("`", "")
