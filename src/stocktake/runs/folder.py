"""RunFolder: one stage's run on disk, written by one worker, read by everybody.

run.json (format, stage, status, attempts, inputs, versions, machine, times, error), settings.json,
result.json (the result and a manifest of artifacts), metrics.jsonl, log.jsonl, artifacts/.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from stocktake.errors import RunError
from stocktake.runs import fingerprint, journal

FORMAT = "run/1"


class RunFolder:
    """One run: what a stage writes into while it runs, and what later stages read.

    Open a finished or growing one with `RunFolder.open`; only the worker begins and closes one.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.listener: Callable[[int, int | None, str], None] | None = None
        """Told of every progress, for callers in the same process."""
        self._known: dict[Path, str] = {}  # SHA-256 of artifacts, from those who wrote them
        self._progress = journal.ProgressFile(self.path / "progress.json")

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    @classmethod
    def open(cls, path: str | Path) -> "RunFolder":
        """The run in that folder, whatever its status.

        Raises:
            RunError: if the folder holds no run of a format we know.
        """
        run = cls(Path(path))
        found = run.info().get("format")
        if found != FORMAT:
            raise RunError(f"{path} has format {found}, this version reads {FORMAT}; re-run it")
        return run

    @classmethod
    def begin(
        cls, path: Path, *, about: Mapping[str, Any], settings: Mapping[str, Any]
    ) -> "RunFolder":
        """Open a folder for a worker: status running, one attempt more; logs are kept."""
        run = cls(path)
        (path / "artifacts").mkdir(parents=True, exist_ok=True)
        before = json.loads(run._file("run.json").read_text()) if run.exists() else {}
        row = {
            "format": FORMAT,
            "status": "running",
            "attempts": int(before.get("attempts", 0)) + 1,
            "pid": os.getpid(),
            "started": time.time(),
            **about,
        }
        run._file("result.json").unlink(missing_ok=True)
        run._write("settings.json", dict(settings))
        run._write("run.json", row)
        return run

    def close(
        self, status: str, *, result: Any = None, error: Mapping[str, str] | None = None
    ) -> None:
        """End the run; run.json is written last, so `done` means whole."""
        self._progress.clear()
        if status == "done":
            self._write("result.json", {"result": result, "manifest": self._manifest()})
        row = self.info()
        now = time.time()
        row |= {"status": status, "ended": now, "seconds": round(now - row["started"], 3)}
        row["error"] = dict(error) if error else None
        self._write("run.json", row)

    def set_aside(self) -> Path:
        """Rename the folder to the next free NAME.1, NAME.2...; nothing in it changes."""
        number = 1
        while (aside := self.path.with_name(f"{self.path.name}.{number}")).exists():
            number += 1
        self.path.rename(aside)
        return aside

    def before(self) -> "RunFolder | None":
        """The run that was set aside last to make room for this one; None if none was."""
        numbers = [path.suffix[1:] for path in self.path.parent.glob(f"{self.path.name}.*")]
        last = max((int(number) for number in numbers if number.isdigit()), default=0)
        found = RunFolder(self.path.with_name(f"{self.path.name}.{last}"))
        return found if last and found.exists() else None

    # what a stage uses while it runs

    def artifact(self, name: str) -> Path:
        """Path of something the next stage reads; the folders above it exist after the call."""
        path = self.path / "artifacts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def hashed(self, path: Path, sha256: str) -> None:
        """Say the SHA-256 of an artifact that is whole, so that the manifest need not read it."""
        self._known[path] = sha256

    def progress(self, done: int, total: int | None, what: str) -> None:
        """Say how far the run is: `done` of `total` of `what`; cheap, call it freely."""
        self._progress.update(done, total, what)
        if self.listener:
            self.listener(done, total, what)

    def metric(self, step: int, **values: float) -> None:
        """Append one line per value to metrics.jsonl; `step` counts what the stage says it does."""
        now = time.time()
        for name, value in values.items():
            row = {"step": int(step), "name": name, "value": float(value), "time": now}
            journal.append(self._file("metrics.jsonl"), row)

    def forget_metrics(self) -> None:
        """Begin metrics.jsonl anew, for a stage that says once more what an attempt had said."""
        self._file("metrics.jsonl").unlink(missing_ok=True)

    def log(self, message: str, **facts: Any) -> None:
        """Append what happened to log.jsonl."""
        self._say("info", message, facts)

    def warn(self, message: str, **facts: Any) -> None:
        """Append what a person should look at to log.jsonl; the command line shows it."""
        self._say("warning", message, facts)

    def fail_trace(self, trace: str) -> None:
        """Keep the trace of a failure in log.jsonl, where people who mend things look."""
        self._say("error", "the stage failed", {"trace": trace})

    # what readers use

    def exists(self) -> bool:
        """Whether a run was ever begun here."""
        return self._file("run.json").exists()

    def info(self) -> dict[str, Any]:
        """Everything in run.json.

        Raises:
            RunError: if there is no run here, or its run.json cannot be read.
        """
        try:
            return dict(json.loads(self._file("run.json").read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise RunError(f"{self.path} is not a run folder: it has no run.json") from None
        except ValueError as err:
            raise RunError(
                f"{self.path}/run.json cannot be read ({err}); re-run this stage"
            ) from err

    @property
    def stage(self) -> str:
        """Name of the stage that made the run."""
        return str(self.info()["stage"])

    @property
    def status(self) -> str:
        """running, done, failed or stopped."""
        return str(self.info()["status"])

    @property
    def fingerprint(self) -> str:
        """What the run was made of; see `runs.fingerprint`."""
        return str(self.info().get("fingerprint", ""))

    def settings(self) -> dict[str, Any]:
        """Every setting of the run, resolved."""
        return dict(json.loads(self._file("settings.json").read_text(encoding="utf-8")))

    def result(self) -> dict[str, Any]:
        """The stage's result as plain data.

        Raises:
            RunError: unless the run is done.
        """
        status = self.status
        if status != "done":
            raise RunError(
                f"{self.path} is {status}, not done;"
                " finish or re-run it before using it as an input"
            )
        return dict(json.loads(self._file("result.json").read_text(encoding="utf-8"))["result"])

    def metrics(self) -> list[dict[str, Any]]:
        """The rows of metrics.jsonl so far: step, name, value, time."""
        return list(journal.read_lines(self._file("metrics.jsonl")))

    def lines(self) -> Iterator[dict[str, Any]]:
        """The rows of log.jsonl so far: time, level, message and facts."""
        return journal.read_lines(self._file("log.jsonl"))

    def how_far(self) -> journal.Progress | None:
        """The run's last progress; None before the first and after the end."""
        return journal.read_progress(self._file("progress.json"))

    def _file(self, name: str) -> Path:
        return self.path / name

    def _write(self, name: str, row: Mapping[str, Any]) -> None:
        text = json.dumps(row, indent=2, ensure_ascii=False, default=str)
        journal.write_whole(self._file(name), text + "\n")

    def _say(self, level: str, message: str, facts: Mapping[str, Any]) -> None:
        row = {"time": time.time(), "level": level, "message": message, **facts}
        journal.append(self._file("log.jsonl"), row)

    def _manifest(self) -> dict[str, dict[str, Any]]:
        root = self.path / "artifacts"
        files = sorted(p for p in root.rglob("*") if p.is_file())
        if len(files) > MANIFEST_FILES:
            size = sum(p.stat().st_size for p in files)
            return {"artifacts/": {"files": len(files), "size_bytes": size}}
        return {
            str(p.relative_to(self.path)): {
                "size_bytes": p.stat().st_size,
                "sha256": self._known.get(p) or fingerprint.of_file(p),
            }
            for p in files
        }


class Witness(RunFolder):
    """A run as the fellow processes of its writer see it: they read what lies there, write nothing.

    Several processes may carry out one stage together, as torchrun starts them; one of them writes.
    """

    def artifact(self, name: str) -> Path:
        """Path of something in the run; nothing is made."""
        return self.path / "artifacts" / name

    def progress(self, done: int, total: int | None, what: str) -> None:
        """Nothing is said."""

    def metric(self, step: int, **values: float) -> None:
        """Nothing is written."""

    def forget_metrics(self) -> None:
        """Nothing is forgotten."""

    def log(self, message: str, **facts: Any) -> None:
        """Nothing is written."""

    def warn(self, message: str, **facts: Any) -> None:
        """Nothing is written."""


MANIFEST_FILES = 1000
"""Above this many files (a painted bucket) the manifest keeps one line with number and size."""
