"""Supervise: keep several server processes behind one socket, in the foreground or for an endpoint.

As a program, `python -m stocktake.stages.supervise FOLDER FD`, it is the process behind a named
endpoint: `stages.deploy` starts it with the listening socket and the lock of the endpoint's folder.
"""

import dataclasses
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tomli_w

from stocktake.errors import StocktakeError
from stocktake.runs import machine
from stocktake.runs import settings as reader
from stocktake.runs.endpoints import Endpoint, EndpointFolder, Order
from stocktake.serve import sockets
from stocktake.serve.supervisor import Plan, Report, Supervisor
from stocktake.stages.serve import ServeSettings


def serve_many(
    bundle: Path,
    settings: ServeSettings,
    *,
    ready: Callable[[str], None],
    say: Callable[[str], None],
    metrics: Path,
) -> None:
    """Answer with `settings.processes` processes until SIGTERM or SIGINT.

    Args:
        bundle: the bundle's folder.
        settings: how it is served.
        ready: told "listening on http://HOST:PORT" once every process takes connections.
        say: given lines for people: what happens, and what the processes print.
        metrics: where the processes keep what they count.

    Raises:
        SettingsError: if the address cannot be listened on.
        EngineError: with its last lines, if a process does not come up.
    """
    pids: set[int] = set()
    is_ready = False

    def tell(report: Report) -> None:
        nonlocal pids, is_ready
        pids = forget_gauges(metrics, pids, report)
        if report.status == "InService" and not is_ready:
            is_ready = True
            ready(f"listening on {address}")

    with sockets.bound(settings.host, settings.port) as door:
        address = sockets.address_of(settings.host, door)
        Supervisor(door, plan_of(1, bundle, settings, door.fileno()), tell=tell, say=say).run()


def plan_of(number: int, bundle: Path, settings: ServeSettings, fd: int) -> Plan:
    """What a crew runs: the very command people type, on a socket that is handed to it.

    Cores are dealt out among the processes where the settings leave them to us.
    """
    own = dataclasses.replace(
        settings,
        processes=1,
        workers=settings.workers or -(-machine.cores() // settings.processes),
    )
    table = {key: value for key, value in reader.resolved(own).items() if value is not None}
    sets = [
        part for key, value in table.items() for part in ("--set", f"serve.{key}={_toml(value)}")
    ]
    command = (sys.executable, "-m", "stocktake", "serve", str(bundle), *sets, "--fd", str(fd))
    return Plan(number=number, command=command, processes=settings.processes)


def forget_gauges(metrics: Path, before: set[int], report: Report) -> set[int]:
    """Remove what dead workers said of the moment, as prometheus_client asks; returns who lives.

    Their counters stay: a sum does not go back.
    """
    alive = {worker.pid for worker in report.workers}
    for pid in before - alive:
        for path in metrics.glob(f"gauge_live*_{pid}.db"):
            path.unlink(missing_ok=True)
    return alive


class _Keeper:
    """Between an endpoint's folder and its supervisor: reads orders, writes what is."""

    def __init__(self, folder: EndpointFolder, fd: int, say: Callable[[str], None]) -> None:
        self._folder, self._fd, self._say = folder, fd, say
        self._about = folder.read()
        self._seen = 0
        self._orders: dict[int, Order] = {}
        self._pids: set[int] = set()

    def wanted(self) -> Plan | None:
        """The plan of the order given last, if it was not seen before."""
        given = self._folder.ordered_at()
        if given == self._seen:
            return None
        self._seen = given
        try:
            order = self._folder.order()
            settings = reader.build(ServeSettings, order.settings, where="serve")
        except StocktakeError as err:
            self._say(f"the order is left out: {err}")
            return None
        self._orders[order.number] = order
        return plan_of(order.number, Path(order.folder), settings, self._fd)

    def tell(self, report: Report) -> None:
        """Write what the supervisor says of itself."""
        order = self._orders[report.plan]
        self._pids = forget_gauges(self._folder.metrics, self._pids, report)
        if report.plan != self._about.order:
            self._folder.forget_bundles(before=report.plan)
        self._about = Endpoint(
            name=self._about.name,
            status=report.status,
            address=self._about.address,
            bundle=order.bundle,
            model=order.model,
            pid=os.getpid(),
            created=self._about.created,
            order=report.plan,
            settings=order.settings,
            refused=report.refused,
            why=report.trouble or report.refusal,
            restarts=report.restarts,
            workers=[dataclasses.asdict(worker) for worker in report.workers],
        )
        self._folder.write(self._about)


def main(arguments: list[str]) -> int:
    """Be the process behind the endpoint in that folder; returns the exit code."""
    folder, fd = EndpointFolder(Path(arguments[0])), int(arguments[1])
    keeper = _Keeper(folder, fd, _log)
    plan = keeper.wanted()
    if plan is None:
        return 2
    try:
        with sockets.inherited(fd) as door:
            Supervisor(door, plan, tell=keeper.tell, say=_log, wanted=keeper.wanted).run()
    except StocktakeError as err:
        _log(f"error: {err}")
        return err.exit_code
    return 0


def _log(line: str) -> None:
    sys.stderr.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")
    sys.stderr.flush()


def _toml(value: Any) -> str:
    return tomli_w.dumps({"v": value}).partition("=")[2].strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
