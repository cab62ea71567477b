"""Deploy: a bundle becomes a named endpoint of this machine, served in the background.

The listening socket is bound and the name is claimed by whoever deploys, and both are handed to the
process in the background: a port in use or a name taken is said at once, and nothing is left.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from stocktake.errors import EngineError, SettingsError
from stocktake.runs import settings as reader
from stocktake.runs.endpoints import Endpoint, EndpointFolder, Order, check_name, find
from stocktake.schema import bundles
from stocktake.stages import ask
from stocktake.stages.serve import ServeSettings

UP_S = 75.0
"""A supervisor gives a worker 60 s to come up; it says itself when that was not enough."""
DOWN_S = 45.0
"""Workers drain for up to 26 s and are killed after 35 s."""
LOOK_S = 0.05


def deploy(
    bundle: Path,
    *,
    name: str,
    home: Path,
    table: Mapping[str, Any],
    environment: Mapping[str, str],
) -> Endpoint:
    """Serve the bundle under that name, in the background; returns once it answers.

    Args:
        bundle: the bundle's folder; the endpoint keeps a copy of its own.
        name: of the endpoint.
        home: folder of all endpoints.
        table: settings of [serve].
        environment: variables of the new process.

    Raises:
        SettingsError: if the name is taken or the address cannot be listened on.
        DataError: if the bundle is not whole.
        EngineError: if the server does not come up; the endpoint's log and record stay.
    """
    folder = EndpointFolder(home / check_name(name))
    settings = reader.build(ServeSettings, table, where="serve")
    about = bundles.read(bundle)
    with ExitStack() as undo:
        lock = folder.claim()
        undo.callback(os.close, lock)
        door = _door_of(settings, folder)
        undo.callback(door.close)
        folder.clear()
        with ExitStack() as unmade:
            unmade.callback(folder.remove)
            order = _give(folder, bundle, about.id, dict(table), 1)
            process = _begin(folder, order, door, lock, environment)
            unmade.callback(_end, process)
            undo.close()  # the process has the socket and the lock now
            found = _wait_until_up(folder, process)
            unmade.pop_all()
    if found.status == "Failed":
        process.wait()
        raise EngineError(
            f"endpoint {name} failed: {found.why}; `stocktake endpoints show {name}` has its log"
        )
    return found


def update(bundle: Path, *, name: str, home: Path, table: Mapping[str, Any]) -> Endpoint:
    """Have the endpoint serve another bundle, without a dropped request; returns once it does.

    Args:
        bundle: the bundle's folder; the endpoint keeps a copy of its own.
        name: of the endpoint.
        home: folder of all endpoints.
        table: settings of [serve] that change; the others stay.

    Raises:
        SettingsError: if there is no such endpoint, or its address should change.
        DataError: if the bundle is not whole.
        EngineError: if the new workers do not come up; then the old ones go on.
    """
    folder = find(home, name)
    about = bundles.read(bundle)
    before = folder.read()
    if not folder.is_alive():
        raise EngineError(
            f"endpoint {name} is {before.status}; deploy it without --update to start it again"
        )
    with folder.updating():
        whole = {**folder.read().settings, **table}
        settings = reader.build(ServeSettings, whole, where="serve")
        old = reader.build(ServeSettings, before.settings, where="serve")
        if (settings.host, settings.port) != (old.host, old.port):
            raise SettingsError(
                f"endpoint {name} keeps its address {before.address} in an update; to move it,"
                f" `stocktake endpoints delete {name}` and deploy it again"
            )
        number = folder.order().number + 1
        _give(folder, bundle, about.id, whole, number)
        return _wait_until_exchanged(folder, number)


def delete(name: str, *, home: Path) -> None:
    """End the endpoint, its accepted requests first, and remove what is kept of it.

    Raises:
        SettingsError: if there is none of that name.
    """
    folder = find(home, name)
    until = time.monotonic() + DOWN_S
    told = 0
    while folder.is_alive():
        pid = folder.read().pid  # 0 for the instant in which it is being deployed
        if pid and not told:
            os.kill(pid, signal.SIGTERM)
            told = pid
        if time.monotonic() > until and told:
            os.kill(told, signal.SIGKILL)  # its workers end by themselves
            until += DOWN_S
        time.sleep(LOOK_S)
    lock = folder.claim()
    folder.remove()
    os.close(lock)


def _door_of(settings: ServeSettings, folder: EndpointFolder) -> socket.socket:
    from stocktake.serve import sockets

    try:
        return sockets.bound(settings.host, settings.port)
    except SettingsError:
        if not folder.exists():
            folder.remove()
        raise


def _begin(
    folder: EndpointFolder,
    order: Order,
    door: socket.socket,
    lock: int,
    environment: Mapping[str, str],
) -> "subprocess.Popen[bytes]":
    """Start the process that carries out the order; it takes over socket and lock."""
    from stocktake.serve import sockets

    settings = reader.build(ServeSettings, order.settings, where="serve")
    folder.metrics.mkdir()
    folder.write(
        Endpoint(
            name=folder.name,
            status="Creating",
            address=sockets.address_of(settings.host, door),
            bundle=order.bundle,
            model=order.model,
            pid=0,
            created=time.time(),
            settings=order.settings,
        )
    )
    with folder.log.open("wb") as log:
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "stocktake.stages.supervise"),
                *(str(folder.path), str(door.fileno())),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=[door.fileno(), lock],
            start_new_session=True,  # it outlives this terminal
            env={**environment, "PROMETHEUS_MULTIPROC_DIR": str(folder.metrics)},
        )


def _give(
    folder: EndpointFolder, bundle: Path, bundle_id: str, table: dict[str, Any], number: int
) -> Order:
    order = Order(
        number=number,
        bundle=bundle_id,
        folder=str(folder.keep(bundle, number)),
        model=str(bundle.resolve()),
        settings=table,
    )
    folder.give(order)
    return order


def _wait_until_up(folder: EndpointFolder, process: "subprocess.Popen[bytes]") -> Endpoint:
    """The endpoint once it answers, or has failed."""
    until = time.monotonic() + UP_S
    while (found := folder.read()).status == "Creating":
        if time.monotonic() > until:
            raise EngineError(f"endpoint {folder.name} did not come up within {UP_S:g} s")
        time.sleep(LOOK_S)
    if found.status == "InService":
        ask.ping(found.address)
    return found


def _wait_until_exchanged(folder: EndpointFolder, number: int) -> Endpoint:
    """The endpoint once it serves that order."""
    until = time.monotonic() + UP_S
    while (found := folder.read()).order < number:
        if not folder.is_alive():
            raise EngineError(
                f"endpoint {folder.name} is {found.status} and was not updated; deploy it without"
                " --update to start it again"
            )
        if found.refused >= number:
            folder.forget_bundle(number)
            raise EngineError(
                f"endpoint {folder.name} goes on with bundle {found.bundle}, the update is refused:"
                f" {found.why}"
            )
        if time.monotonic() > until:
            raise EngineError(f"endpoint {folder.name} was not updated within {UP_S:g} s")
        time.sleep(LOOK_S)
    return found


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(DOWN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
