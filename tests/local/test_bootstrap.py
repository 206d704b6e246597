import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from local import bootstrap
from local.installer import LOCKS, Environment, Installer, only_the_main_index, uv_settings

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def environment(tmp_path):
    (tmp_path / "lock.txt").write_text("a==1")
    (tmp_path / "pyproject.toml").write_text("[project]")
    made = Environment(tmp_path / "venv", tmp_path / "lock.txt", project=tmp_path)
    made.python.parent.mkdir(parents=True)
    made.python.touch()
    return made


def test_an_environment_is_not_current_before_it_was_made(environment):
    assert not environment.is_current()


def test_an_environment_that_was_made_stays_current(environment):
    environment.mark_current()
    assert environment.is_current()


@pytest.mark.parametrize("file", ["lock.txt", "pyproject.toml"])
def test_a_change_of_what_an_environment_is_made_from_makes_it_stale(environment, tmp_path, file):
    environment.mark_current()
    (tmp_path / file).write_text("changed")
    assert not environment.is_current()


def test_another_python_makes_an_environment_stale(environment, monkeypatch):
    environment.mark_current()
    monkeypatch.setattr(sys, "version_info", (3, 99, 0))
    assert not environment.is_current()


def test_an_environment_whose_making_was_interrupted_is_stale(environment):
    environment.mark_current()
    environment.mark_stale()
    environment.mark_stale()
    assert not environment.is_current()


def test_an_environment_without_its_interpreter_is_stale(environment):
    environment.mark_current()
    environment.python.unlink()
    assert not environment.is_current()


def test_nothing_is_done_when_all_is_current(environment, monkeypatch):
    environment.mark_current()
    monkeypatch.setattr(bootstrap, "ENVIRONMENTS", {"main": environment})
    monkeypatch.setattr(bootstrap, "USUAL", ("main",))
    monkeypatch.setattr(bootstrap, "make", lambda _: pytest.fail("there was nothing to make"))
    assert bootstrap.main([]) == 0


def test_an_environment_that_does_not_exist_is_named(capsys):
    assert bootstrap.main(["prxoy"]) == 2
    assert "prxoy" in capsys.readouterr().err


def test_a_second_setup_waits_for_the_first(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bootstrap, "STATE", tmp_path)
    order = []

    def second():
        with bootstrap.one_at_a_time():
            order.append("second")

    thread = threading.Thread(target=second)
    with bootstrap.one_at_a_time():
        thread.start()
        while "another setup is running" not in capsys.readouterr().out:
            pass
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_without_a_python_that_will_do_the_message_says_what_is_needed_and_how_to_name_one(
    monkeypatch, tmp_path
):
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match=r"(?s)needs Python 3\.11 to 3\.14.*make demo PYTHON=/path/to"):
        bootstrap.use_a_supported_python()


def test_uv_is_told_what_pip_is_told():
    pip_config = """
global.index-url='https://mirror.example/simple'
global.extra-index-url='file:///a\\nfile:///b'
global.cert='/weak.pem'
:env:.cert='/strong.pem'
:env:.find-links='/wheels /more'
:env:.no-color='1'
"""
    assert uv_settings(pip_config, {}) == {
        "UV_DEFAULT_INDEX": "https://mirror.example/simple",
        "UV_INDEX": "file:///a file:///b",
        "UV_FIND_LINKS": "/wheels,/more",
        "SSL_CERT_FILE": "/strong.pem",
    }


def test_what_the_caller_has_told_uv_wins():
    assert uv_settings("global.cert='/pip.pem'", {"SSL_CERT_FILE": "/mine.pem"}) == {}


class ScriptedInstaller(Installer):
    """Notes what it would run; what asks the indexes in `broken` fails."""

    def __init__(self, environ, broken=()):
        self.asked, self._broken, self._environ, self._uv = [], broken, environ, "uv"
        self._say, self._base_python, self._pip = (lambda _: None), sys.executable, ["pip"]

    def _run(self, command, environ=None):
        indexes = (environ or self._environ).get("UV_INDEX", "main")
        if "sync" in command or "--no-compile" in command:
            self.asked.append((command[0], indexes))
            if command[0] == "uv" and indexes in self._broken:
                raise subprocess.CalledProcessError(2, command)


@pytest.mark.parametrize(
    ("broken", "asked"),
    [
        ((), [("uv", "main")]),
        (("main",), [("uv", "main"), ("uv", "file:///a")]),
        (("main", "file:///a"), [("uv", "main"), ("uv", "file:///a"), ("pip", "file:///a")]),
    ],
)
def test_the_main_index_is_asked_alone_since_another_may_hold_a_part_of_a_release(environment, broken, asked):
    installer = ScriptedInstaller({"HOME": "/h", "UV_INDEX": "file:///a", "UV_FIND_LINKS": "/w"}, broken)
    installer.install(environment)
    assert installer.asked == asked


def test_the_main_index_is_what_is_left_of_the_settings():
    settings = {"UV_INDEX": "a", "UV_FIND_LINKS": "b", "UV_DEFAULT_INDEX": "c", "HOME": "d"}
    assert only_the_main_index(settings) == {"UV_DEFAULT_INDEX": "c", "HOME": "d"}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_of_a_lock_has_its_hashes_and_no_place(lock):
    text = (REPOSITORY / lock).read_text()
    requirements = re.split(r"\n(?=[a-z0-9])", text)[1:]
    assert requirements
    assert all("==" in requirement and "--hash=sha256:" in requirement for requirement in requirements)
    assert not re.search(r"https?://|file:|--index|--find", text)


def test_the_development_lock_holds_the_runtime_lock():
    pins = [
        dict(re.findall(r"(?m)^([a-z0-9._-]+)==([^\s;]+)", (REPOSITORY / lock).read_text()))
        for lock in ("requirements.txt", "requirements-dev.txt")
    ]
    assert pins[0].items() <= pins[1].items()
    assert pins[0]["apache-airflow"] == "3.3.2"
