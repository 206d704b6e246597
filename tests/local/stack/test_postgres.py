import os
import signal
import subprocess
import sys

import psutil
import psycopg
import pytest

from local.leftovers import MARK_VARIABLE, marked
from local.stack import StackError
from local.stack.ports import Ports
from local.stack.postgres import copy_data, postgres_service, running, start_postgres
from local.stack.processes import ManagedProcess
from local.waiting import wait_until

STARTER = (
    "import pathlib, sys, time; from local.stack.postgres import start_postgres;"
    "server = start_postgres(pathlib.Path(sys.argv[1])); print(server.__enter__().port, flush=True);"
    "time.sleep(60)"
)


def query(url, text):
    with psycopg.connect(url) as connection:
        cursor = connection.execute(text)
        return cursor.fetchall() if cursor.description else []


def test_data_are_kept_and_a_copy_has_them_too(tmp_path):
    with start_postgres(tmp_path / "first") as server:
        query(server.create_database("nights"), "CREATE TABLE night AS SELECT 1 AS number")
    copy_data(tmp_path / "first", tmp_path / "copy")
    for folder in ("first", "copy"):
        with start_postgres(tmp_path / folder) as server:
            assert query(server.url("nights"), "SELECT number FROM night") == [(1,)]


def test_a_database_is_created_once(tmp_path):
    with start_postgres(tmp_path) as server:
        url = server.ensure_database("costs")
        query(url, "CREATE TABLE bill AS SELECT 1 AS number")
        assert query(server.ensure_database("costs"), "SELECT number FROM bill") == [(1,)]


def test_what_was_committed_survives_the_death_of_the_server(tmp_path):
    port = Ports().choose("database")
    process = ManagedProcess(postgres_service(tmp_path, port), tmp_path / "log", "mark")
    process.start()
    try:
        process.wait_until_ready()
        url = running(tmp_path, port).create_database("nights")
        query(url, "CREATE TABLE night AS SELECT 1 AS number")
        session = psycopg.connect(url)  # its process lets go of the data a moment after the server's death
        backend = psutil.Process(session.execute("SELECT pg_backend_pid()").fetchone()[0])
        process.kill()
        backend.wait(30)
        session.close()
        process.start()
        process.wait_until_ready()
        assert query(url, "SELECT number FROM night") == [(1,)]
    finally:
        process.kill()


def test_a_server_that_does_not_start_quotes_its_log(tmp_path):
    message = r"(?s)database ended .*Address already in use"
    with (
        start_postgres(tmp_path / "one") as server,
        pytest.raises(StackError, match=message),
        start_postgres(tmp_path / "two", server.port),
    ):
        pass


def test_no_server_is_left_when_the_process_that_started_it_is_killed(tmp_path):
    command = [sys.executable, "-c", STARTER, str(tmp_path)]
    starter = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    starter.stdout.readline()
    (server,) = [child for child in psutil.Process(starter.pid).children() if child.name() == "postgres"]
    assert marked(server.environ()[MARK_VARIABLE]) == [server]
    sessions = server.children()
    os.kill(starter.pid, signal.SIGKILL)
    starter.wait()
    starter.stdout.close()
    wait_until(
        lambda: not any(each.is_running() for each in (server, *sessions)), "the end of the server", 30
    )
