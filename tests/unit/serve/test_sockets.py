import socket
import sys

import pytest

from stocktake.errors import SettingsError
from stocktake.serve import sockets


@pytest.fixture
def door():
    with sockets.bound("127.0.0.1", 0) as made:
        yield made


def call(door, *, timeout_s=5.0):
    return socket.create_connection(door.getsockname(), timeout=timeout_s)


def test_a_port_in_use_is_one_line_that_says_what_to_do(door):
    port = door.getsockname()[1]

    with pytest.raises(SettingsError, match=rf"127.0.0.1:{port} \(.*in use\); choose another port"):
        sockets.bound("127.0.0.1", port)


def test_a_port_out_of_range_is_one_line_too():
    with pytest.raises(SettingsError, match="cannot listen on 127.0.0.1:70000"):
        sockets.bound("127.0.0.1", 70000)


def test_an_inherited_socket_accepts_what_the_first_one_was_called_for(door):
    with call(door) as client, sockets.inherited(door.dup().detach()) as same:
        connection, _ = same.accept()
        with connection:
            connection.sendall(b"hello")
            assert client.recv(5) == b"hello"


def test_a_descriptor_that_is_no_socket_is_one_line(tmp_path):
    with (tmp_path / "file").open("w") as file, pytest.raises(SettingsError, match="is no socket"):
        sockets.inherited(file.fileno())


@pytest.mark.parametrize(("host", "name"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
def test_an_address_is_as_people_type_it(door, host, name):
    assert sockets.address_of(host, door) == f"http://{name}:{door.getsockname()[1]}"


def test_who_waits_at_the_door_is_seen(door):
    assert not sockets.has_waiting(door)
    with call(door):
        assert sockets.has_waiting(door)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody is turned away")
def test_after_turning_away_who_waits_is_still_accepted_and_nobody_new_gets_in(door):
    with call(door) as waiting:
        sockets.turn_away(door)
        with pytest.raises(TimeoutError):
            call(door, timeout_s=0.2)
        connection, _ = door.accept()
        with connection:
            waiting.sendall(b"asked")
            assert connection.recv(5) == b"asked"
            connection.sendall(b"answered")
            assert waiting.recv(8) == b"answered"
        assert not sockets.has_waiting(door)
