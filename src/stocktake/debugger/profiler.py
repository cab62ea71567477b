"""The profiler of a training: samples of the machine, phases of the loop, a trace of some steps.

Three lines plug it into any loop:

    with Profiler(Path("profiler-output"), trace_steps=range(10, 13)) as profiler:  # 1
        for photos, counts in profiler.watch(loader):                               # 2
            with profiler("forward"):                                               # 3, and so on
                loss = model(photos, counts)

`profile_report.write` makes a page of what it left, while the training goes on or afterwards.
"""

from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from stocktake.debugger.phases import Phases
from stocktake.debugger.system import Sampler
from stocktake.debugger.trace import StepTrace

Batch = TypeVar("Batch")


class Profiler:
    """Everything that is measured of one training process."""

    def __init__(
        self,
        folder: Path,
        *,
        interval_s: float = 0.5,
        trace_steps: Container[int] = (),
        node: str = "",
        synchronize: Callable[[], object] | None = None,
    ) -> None:
        """Nothing is sampled before `start`.

        Args:
            folder: profiler-output; made if it is not there.
            interval_s: between two samples of the machine, 0.1 to 60 seconds.
            trace_steps: train steps that torch.profiler looks at.
            node: this machine's name; empty for its host name.
            synchronize: see `Phases`.

        Raises:
            DebuggerError: for an interval out of bounds.
        """
        self.sampler = Sampler(folder, interval_s=interval_s, node=node)
        self.phases = Phases(folder, node=node, synchronize=synchronize)
        self.trace = StepTrace(folder, trace_steps, node=node)

    def start(self) -> Self:
        """Begin to sample the machine."""
        self.sampler.start()
        return self

    def close(self) -> None:
        """End everything, and write what is left."""
        self.trace.close()
        self.phases.close()
        self.sampler.stop()

    def __call__(self, name: str) -> AbstractContextManager[None]:
        """Take the time of a phase: `with profiler("forward"): ...`."""
        return self.phases(name)

    def watch(self, loader: Iterable[Batch], mode: str = "train") -> Iterator[Batch]:
        """The loader's batches, each in a step that begins by waiting for it."""
        before_step = self._trace_step if mode == "train" else None
        return self.phases.watch(loader, mode, before_step=before_step)

    def _trace_step(self, step: int) -> None:
        if self.trace.is_due(step):  # it takes seconds, which are no step's
            with self.phases("trace"):
                self.trace.before_step(step)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()
