"""What a proxy with a database needs; that it works is in tests/system/test_proxy_database.py."""

from __future__ import annotations

import json

import pytest

from local.proxy.__main__ import main
from local.stack.proxy_database import SOURCES, missing_programs


@pytest.fixture
def without_node(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.usefixtures("without_node")
def test_what_is_missing_is_named_before_anything_is_installed(capsys):
    assert missing_programs() == "a proxy with a database needs Node.js: node and npm not found"
    assert main() == 1
    assert capsys.readouterr().err == f"proxy-db: {missing_programs()}\n"


def test_every_package_from_npm_is_pinned_by_its_content():
    lock = json.loads((SOURCES / "package-lock.json").read_text())
    packages = {name: each for name, each in lock["packages"].items() if name}
    wanted = json.loads((SOURCES / "package.json").read_text())["dependencies"]
    assert all(packages[f"node_modules/{name}"]["version"] == version for name, version in wanted.items())
    assert all(each["integrity"].startswith("sha512-") for each in packages.values())
    assert "http" not in (SOURCES / "package-lock.json").read_text()
