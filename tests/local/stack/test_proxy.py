"""How the proxy is started. That it answers is tested by the system tests."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from local.stack.certificates import make_certificates
from local.stack.processes import ManagedProcess
from local.stack.proxy import proxy_service

# As LiteLLM does at its start.
IMPORTS = "import os, sys; sys.path.insert(0, os.path.abspath('../..')); import stray"


def test_a_module_beside_the_stacks_folder_is_not_imported_by_the_proxy(tmp_path):
    home = tmp_path / "folder" / "stack"
    for folder in (home, *list(home.parents)[:2]):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "stray.py").touch()
    service = proxy_service(
        home=home / "proxy",
        port=3,
        master_key="key",
        google_url="http://127.0.0.1:1",
        tunnel_url="http://127.0.0.1:2",
        token="token",
        certificates=make_certificates(tmp_path),
        service_account=Path("account.json"),
    )
    process = ManagedProcess(
        replace(service, command=[sys.executable, "-c", IMPORTS]), tmp_path / "proxy.log", "mark"
    )
    process.start()
    assert process._process is not None
    assert process._process.wait(60) == 1
    assert "No module named 'stray'" in process.log.read_text()
