import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from local import bootstrap
from local.bootstrap import LOCKS, STAMP, Environment, locked_names, only_the_main_index, uv_settings

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def environment(tmp_path, monkeypatch):
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    monkeypatch.setattr(bootstrap, "STATE", tmp_path / ".local")
    for name in ("lock.txt", *bootstrap.DESCRIBED_IN):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("a==1")
    made = Environment(tmp_path / "venv", [tmp_path / "lock.txt"], has_project=True)
    (made.path / "bin").mkdir(parents=True)
    (made.path / "bin" / "python").touch()
    return made


@pytest.fixture
def current(environment):
    (environment.path / STAMP).write_text(environment.fingerprint())
    return environment


def test_an_environment_is_not_current_before_it_was_made(environment):
    assert not environment.is_current()


def test_an_environment_that_was_made_stays_current(current):
    assert current.is_current()


@pytest.mark.parametrize("file", ["lock.txt", *bootstrap.DESCRIBED_IN])
def test_a_change_of_what_an_environment_is_made_from_makes_it_stale(current, tmp_path, file):
    (tmp_path / file).write_text("changed")
    assert not current.is_current()


def test_another_python_makes_an_environment_stale(current, monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 99, 0))
    assert not current.is_current()


def test_an_environment_without_its_interpreter_is_stale(current):
    (current.path / "bin" / "python").unlink()
    assert not current.is_current()


def test_nothing_is_done_when_all_is_current(current, monkeypatch):
    monkeypatch.setattr(bootstrap, "ENVIRONMENTS", {"main": current})
    monkeypatch.setattr(bootstrap, "USUAL", ("main",))
    monkeypatch.setattr(bootstrap, "prepare_uv", lambda: pytest.fail("there was nothing to make"))
    assert bootstrap.main([]) == 0


def test_an_environment_that_does_not_exist_is_named(capsys):
    assert bootstrap.main(["prxoy"]) == 2
    assert "prxoy" in capsys.readouterr().out


def test_a_second_setup_waits_for_the_first(environment, monkeypatch):
    monkeypatch.setattr(bootstrap, "ENVIRONMENTS", {"main": environment})
    monkeypatch.setattr(bootstrap, "prepare_uv", dict)
    first_is_making, go_on, made = threading.Event(), threading.Event(), []

    def make(each, _):
        made.append(each)
        first_is_making.set()
        assert go_on.wait(60)
        (each.path / STAMP).write_text(each.fingerprint())

    monkeypatch.setattr(bootstrap, "make", make)
    runs = [threading.Thread(target=bootstrap.main, args=[["main"]]) for _ in range(2)]
    runs[0].start()
    assert first_is_making.wait(60)
    runs[1].start()
    go_on.set()
    for run in runs:
        run.join()
    assert made == [environment], "the second found it made"


@pytest.mark.parametrize(
    ("found", "this", "kept"),
    [
        ("3 12", (3, 12, 1), True),
        ("3 11", (3, 12, 1), False),
        ("3 11", (3, 9, 2), True),
        ("3 10", (3, 9, 2), False),
        ("", (3, 12, 1), False),
    ],
)
def test_an_environment_is_kept_while_its_python_is_the_wanted_one(
    environment, monkeypatch, found, this, kept
):
    python = environment.path / "bin" / "python"
    python.write_text(f"#!/bin/sh\necho {found}\n" if found else "#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "version_info", this)
    assert bootstrap.has_wanted_python(environment) is kept


@pytest.mark.parametrize(
    ("version", "wanted"),
    [((3, 9, 2), ">=3.11,<3.15"), ((3, 15, 0), ">=3.11,<3.15"), ((3, 12, 1), sys._base_executable)],
)
def test_uv_finds_a_supported_python_where_this_one_is_not(monkeypatch, version, wanted):
    monkeypatch.setattr(sys, "version_info", version)
    assert bootstrap.wanted_python() == wanted


def test_uv_gets_the_settings_of_pip():
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


def test_uvs_own_settings_take_precedence():
    assert uv_settings("global.cert='/pip.pem'", {"SSL_CERT_FILE": "/mine.pem"}) == {}


@pytest.mark.parametrize(
    ("broken", "asked"),
    [
        ((), ["main"]),
        (("main",), ["main", "file:///a"]),
    ],
)
def test_the_main_index_is_asked_alone_first(environment, monkeypatch, broken, asked):
    """Another index may hold a part of a release only."""
    commands, found = [], []
    monkeypatch.setattr(bootstrap, "run", lambda command, _: commands.append(command))

    def install(_, environ):
        found.append(environ.get("UV_INDEX", "main"))
        if found[-1] in broken:
            raise subprocess.CalledProcessError(2, "uv")

    monkeypatch.setattr(bootstrap, "install", install)
    bootstrap.make(environment, {"HOME": "/h", "UV_INDEX": "file:///a", "UV_FIND_LINKS": "/w"})
    assert found == asked
    assert environment.is_current()
    assert [command[1:4] for command in commands] == [["venv", "--quiet", "--clear"]]


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


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_repeats_nothing_of_the_locks_it_builds_upon(lock):
    names = set(locked_names(REPOSITORY / lock))
    for below in LOCKS[lock][1]:
        assert not names & set(locked_names(REPOSITORY / below))


def test_what_a_lock_has_for_another_system_only_is_locked_again_by_one_that_needs_it_here(tmp_path):
    # Flask-AppBuilder needs colorama everywhere, others on Windows only.
    lines = ["click==8 \\", "    --hash=sha256:0", "colorama==1 ; sys_platform == 'win32' \\"]
    (tmp_path / "lock.txt").write_text("\n".join([*lines, "numpy==2 ; python_version < '3.12'", ""]))
    assert locked_names(tmp_path / "lock.txt") == ["click", "numpy"]


def test_the_runtime_lock_is_for_the_airflow_that_is_supported():
    assert "\napache-airflow==3.3.2 " in (REPOSITORY / "requirements.txt").read_text()
