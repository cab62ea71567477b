"""Servers under measurement: start one, wait for its first answer, watch its memory, stop it.

Ours is started as people start it. TorchServe and sagemaker-pytorch-inference get a virtual
environment of their own in a work folder, and the very model: the counter of our bundle as
TorchScript. What they lack on this machine is said in one line.
"""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

OPPONENTS = Path(__file__).parent / "opponents"
START_S = 180.0
NEEDS = (
    "torchserve==0.12.0",
    "torch-model-archiver==0.12.0",
    "sagemaker-pytorch-inference==2.0.25",
    "sagemaker-inference==1.10.1",
    "setuptools<81",  # the two import pkg_resources
    "pyyaml",
    "psutil",
    "packaging",
    "pillow",
    "numpy",
)


class Missing(Exception):
    """An opponent cannot be had here; the text says what is missing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """How one server is started and asked."""

    name: str
    command: list[str]
    path: str
    """Where photos are posted."""
    port: int = 0
    """0: it prints "listening on http://HOST:PORT" to its log."""
    env: dict[str, str] = field(default_factory=dict)
    folder: Path = Path()


@dataclass(slots=True)
class Running:
    """A server that has answered once."""

    side: Side
    process: "subprocess.Popen[bytes]"
    port: int
    first_answer_s: float
    peak_mb: float = 0.0

    @property
    def url(self) -> str:
        """Where photos are posted, whole."""
        return f"http://127.0.0.1:{self.port}{self.side.path}"


def ours(name: str, bundle: Path, *, workers: int, sets: tuple[str, ...] = ()) -> Side:
    """Our server over a bundle."""
    words = ["serve.port=0", f"serve.workers={workers}", *sets]
    flags = [part for word in words for part in ("--set", word)]
    command = [sys.executable, "-m", "stocktake", "serve", str(bundle), *flags]
    return Side(name=name, command=command, path="/v1/count")


def environment(work: Path) -> Path:
    """Folder of the opponents' programs, made once.

    Raises:
        Missing: if there is no Java, or a package cannot be installed.
    """
    if shutil.which("java") is None:
        raise Missing("no java; on Debian: apt-get install openjdk-17-jre-headless")
    import torch

    folder = work / "opponents"
    programs, ready = folder / ".venv" / "bin", folder / "ready"
    if ready.exists():
        return programs
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder / ".venv")], check=True)
    command = [str(programs / "python"), "-m", "pip", "install", "-q"]
    made = subprocess.run(
        [*command, f"torch=={torch.__version__}", *NEEDS], capture_output=True, text=True
    )
    if made.returncode != 0:
        lines = (made.stderr.strip() or "pip failed").splitlines()
        raise Missing(f"pip cannot install what they need: {lines[-1]}")
    # It would write its settings to /etc.
    found = next((folder / ".venv").glob("lib/*/site-packages/*_serving_container/torchserve.py"))
    text = found.read_text()
    found.write_text(text.replace('os.path.join("/etc", "', f'os.path.join("{folder}", "'))
    ready.touch()
    return programs


def torchserve(programs: Path, model: Path, work: Path, *, workers: int) -> Side:
    """TorchServe over model.pt and preprocessing.json in the folder `model`."""
    folder = work / "torchserve"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "store").mkdir(parents=True)
    subprocess.run(
        [
            str(programs / "torch-model-archiver"),
            *("--model-name", "bin", "--version", "1.0"),
            *("--serialized-file", str(model / "model.pt")),
            *("--handler", str(OPPONENTS / "torchserve_handler.py")),
            *("--extra-files", str(model / "preprocessing.json")),
            *("--export-path", str(folder / "store"), "-f"),
        ],
        check=True,
    )
    ports = free_ports(5)
    settings = {
        "inference_address": f"http://127.0.0.1:{ports[0]}",
        "management_address": f"http://127.0.0.1:{ports[1]}",
        "metrics_address": f"http://127.0.0.1:{ports[2]}",
        "grpc_inference_port": ports[3],
        "grpc_management_port": ports[4],
        "disable_token_authorization": "true",
        "default_workers_per_model": workers,
        "job_queue_size": 100,
    }
    (folder / "config.properties").write_text("".join(f"{k}={v}\n" for k, v in settings.items()))
    command = [
        str(programs / "torchserve"),
        *("--start", "--ncs", "--foreground", "--model-store", "store", "--models", "bin=bin.mar"),
        *("--ts-config", "config.properties"),
    ]
    env = with_programs(programs) | {"LOG_LOCATION": str(folder), "METRICS_LOCATION": str(folder)}
    return Side(
        name="TorchServe 0.12.0",
        command=command,
        path="/predictions/bin",
        port=ports[0],
        env=env,
        folder=folder,
    )


def sagemaker(programs: Path, model: Path, work: Path, *, workers: int) -> Side:
    """sagemaker-pytorch-inference over the same; note that it binds every address."""
    folder = work / "sagemaker"
    shutil.rmtree(folder, ignore_errors=True)
    code = folder / "ml" / "model" / "code"
    code.mkdir(parents=True)
    shutil.copy(model / "model.pt", code.parent)
    shutil.copy(model / "preprocessing.json", code)
    shutil.copy(OPPONENTS / "sagemaker_inference.py", code / "inference.py")
    text = (OPPONENTS / "torchserve_handler.py").read_text()
    needs = "from ts.torch_handler.base_handler import BaseHandler\n"
    (code / "torchserve_handler.py").write_text(text.replace(needs, "BaseHandler = object\n"))
    (port,) = free_ports(1)
    env = with_programs(programs) | {
        "SAGEMAKER_BASE_DIR": str(folder / "ml"),
        "SAGEMAKER_PROGRAM": "inference.py",
        "SAGEMAKER_BIND_TO_PORT": str(port),
        "SAGEMAKER_MODEL_SERVER_WORKERS": str(workers),
    }
    return Side(
        name="sagemaker-pytorch-inference 2.0.25",
        command=[str(programs / "serve")],
        path="/invocations",
        port=port,
        env=env,
        folder=folder,
    )


@contextmanager
def running(side: Side, photo: bytes, *, log: Path) -> Iterator[Running]:
    """The side's server, from its first answer to this photo on; stopped whatever happens.

    Raises:
        Missing: with its last lines, if it does not answer.
    """
    started = time.perf_counter()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            side.command,
            cwd=side.folder,
            env={**os.environ, "OMP_NUM_THREADS": "1", **side.env},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        port = _first_answer(side, process, log, photo)
        found = Running(side, process, port, time.perf_counter() - started)
        done = threading.Event()
        watch = threading.Thread(target=_watch, args=(found, done))
        watch.start()
        try:
            yield found
        finally:
            done.set()
            watch.join()
    finally:
        stop(process)


def stop(process: "subprocess.Popen[bytes]", wait_s: float = 40.0) -> None:
    """End every process of its session: asked first, then made to."""
    for number, wait in ((signal.SIGTERM, wait_s), (signal.SIGKILL, 10.0)):
        for member in members(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(member, number)
        until = time.monotonic() + wait
        while time.monotonic() < until:
            if process.poll() is not None and not members(process.pid):
                return
            time.sleep(0.05)


def members(session: int) -> list[int]:
    """Ids of the processes of a session: a server and all that it started."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                words = (folder / "stat").read_text().rpartition(")")[2].split()
                if int(words[3]) == session and words[0] != "Z":
                    found.append(int(folder.name))
    return found


def memory_mb(session: int) -> float:
    """Resident memory of all processes of a session, MB; pages they share count in each."""
    total_kb = 0
    for member in members(session):
        with contextlib.suppress(OSError, IndexError):
            status = Path(f"/proc/{member}/status").read_text()
            total_kb += int(status.split("VmRSS:")[1].split()[0])
    return total_kb / 1000


def wait_until_idle(session: int, most_s: float = 60.0) -> None:
    """Until its processes compute next to nothing for half a second."""
    until = time.monotonic() + most_s
    quiet = 0
    while quiet < 2 and time.monotonic() < until:
        before = _cpu_s(session)
        time.sleep(0.25)
        quiet = quiet + 1 if _cpu_s(session) - before < 0.03 else 0


def _cpu_s(session: int) -> float:
    ticks = 0
    for member in members(session):
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
            ticks += int(words[11]) + int(words[12])  # utime, stime: see proc(5)
    return ticks / os.sysconf("SC_CLK_TCK")


def free_ports(number: int) -> list[int]:
    """Ports that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(socket.create_server(("", 0))) for _ in range(number)]
        return [one.getsockname()[1] for one in taken]


def with_programs(programs: Path) -> dict[str, str]:
    """Environment in which these programs are found first, and our sources are not."""
    return {"PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": ""}


def ask(port: int, path: str, photo: bytes, *, wait_s: float = 60.0) -> tuple[int, bytes]:
    """Status and body of the answer to one photo."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=wait_s)
    try:
        connection.request("POST", path, photo, {"Content-Type": "image/jpeg"})
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def _first_answer(side: Side, process: "subprocess.Popen[bytes]", log: Path, photo: bytes) -> int:
    until = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < until:
        port = side.port or _port_in(log)
        if port:
            with contextlib.suppress(OSError, http.client.HTTPException):
                status, body = ask(port, side.path, photo)
                if status == 200:
                    json.loads(body)
                    return port
        time.sleep(0.02)
    last = " | ".join(log.read_text(errors="replace").strip().splitlines()[-3:])
    raise Missing(f"it does not answer; its last lines: {last or 'none'}")


def _port_in(log: Path) -> int:
    before, found, after = log.read_text(errors="replace").partition("listening on http://")
    return int(after.split()[0].rpartition(":")[2]) if found and "\n" in after else 0


def _watch(found: Running, done: threading.Event) -> None:
    while not done.wait(0.2):
        found.peak_mb = max(found.peak_mb, memory_mb(found.process.pid))
