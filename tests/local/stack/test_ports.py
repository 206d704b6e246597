import socket

import pytest

from local.stack.ports import LOOPBACK, RANGE, Ports, is_free


@pytest.fixture
def taken():
    with socket.socket() as server:
        server.bind((LOOPBACK, 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_port_somebody_listens_on_is_not_free(taken):
    assert not is_free(taken)


def test_the_usual_port_is_taken_when_it_is_free(taken):
    free = next(port for port in RANGE if is_free(port))
    assert Ports({"proxy": free}).choose("proxy") == free


def test_another_port_is_chosen_when_the_usual_one_is_taken(taken):
    chosen = Ports({"proxy": taken}).choose("proxy")
    assert chosen != taken
    assert is_free(chosen)


def test_a_port_that_another_has_chosen_and_not_yet_bound_is_not_chosen():
    first = Ports()
    port = first.choose("proxy")
    assert is_free(port)
    assert Ports({"proxy": port}).choose("proxy") != port

    del first
    assert Ports({"proxy": port}).choose("proxy") == port


def test_no_port_is_given_twice():
    ports = Ports()
    chosen = [ports.choose("any") for _ in range(50)]
    assert len(set(chosen)) == len(chosen)
