"""World: where torch computes: its device, precision, threads, random state, and fellow processes.

Under torchrun several processes train one model: rank 0 is the one that writes.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from stocktake.errors import SettingsError

PRECISIONS = ("auto", "float32", "bfloat16")
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """One process's place among those that train together."""

    device: torch.device = torch.device("cpu")
    """Where the arithmetic is done."""
    is_bfloat16: bool = False
    """Whether convolutions and products are done in bfloat16; weights and sums stay float32."""
    is_compiled: bool = False
    """Whether torch.compile makes the training step; the first step then takes a minute or more."""
    rank: int = 0
    """This process, 0 to ranks - 1."""
    ranks: int = 1
    """Processes that train together."""

    def autocast(self) -> AbstractContextManager[None]:
        """The context of the forward pass."""
        made: AbstractContextManager[None] = torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.is_bfloat16
        )
        return made

    @property
    def threads(self) -> int:
        """Threads for the arithmetic on the CPU."""
        return torch.get_num_threads()

    def use_one_thread(self) -> None:
        """For arithmetic too small to be shared out; `borrowed` gives the other threads back.

        A head on 1,280 features, batches of 32: 0.18 s an epoch of 5,000 photos with one thread,
        0.75 s with two on two busy cores.
        """
        torch.set_num_threads(1)

    def place(self, counter: nn.Module) -> None:
        """Put the counter on the device, its weights as convolutions like them: channels last."""
        counter.to(self.device)
        counter.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def moved(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor on the device; a copy is under way where the device allows."""
        return tensor.to(self.device, non_blocking=True)

    def shared(self, counter: nn.Module) -> nn.Module:
        """What to train: the counter, its gradients averaged over processes, compiled if so set.

        Its weights are the counter's own.
        """
        model: nn.Module = counter
        if self.ranks > 1:
            places = [self.device] if self.device.type == "cuda" else None
            model = DistributedDataParallel(model, device_ids=places)
        if self.is_compiled:
            model.compile()
        return model

    def summed(self, *values: float) -> tuple[float, ...]:
        """Each value summed over the processes; every process gets the same."""
        if self.ranks == 1:
            return values
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.all_reduce(tensor)
        return tuple(tensor.tolist())

    def agrees_on(self, flag: bool) -> bool:
        """Whether any process says so; every process gets the same answer."""
        return flag if self.ranks == 1 else self.summed(float(flag))[0] > 0


@contextmanager
def joined(
    *, device: str = "auto", precision: str = "auto", is_compiled: bool = False
) -> Iterator[World]:
    """This process's world; under torchrun it joins the others, and leaves them at the end.

    Args:
        device: "cpu", "cuda" (with several processes: one each), or "auto" for cuda where there is.
        precision: "float32", "bfloat16", or "auto" for bfloat16 where a GPU computes in it. On a
            CPU auto is float32: depthwise convolutions have no fast bfloat16 gradient there.
        is_compiled: whether to compile the training step.

    Raises:
        SettingsError: if there is no such device here.
    """
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    place = _device(device, int(os.environ.get("LOCAL_RANK", "0")))
    is_fast = place.type == "cuda" and torch.cuda.is_bf16_supported()
    is_bfloat16 = precision == "bfloat16" or (precision == "auto" and is_fast)
    if ranks > 1:
        distributed.init_process_group("nccl" if place.type == "cuda" else "gloo")
    try:
        yield World(
            device=place,
            is_bfloat16=is_bfloat16,
            is_compiled=is_compiled,
            rank=rank,
            ranks=ranks,
        )
    finally:
        if ranks > 1:
            distributed.destroy_process_group()


def _device(name: str, local_rank: int) -> torch.device:
    has_gpu = torch.cuda.is_available()
    if name == "cuda" and not has_gpu:
        raise SettingsError(
            'device is "cuda", but torch finds no GPU here; set device = "cpu", or "auto"'
        )
    if name == "cpu" or not has_gpu:
        return torch.device("cpu")
    return torch.device("cuda", local_rank)


@contextmanager
def borrowed(*, threads: int = 0, seed: int = 0) -> Iterator[None]:
    """Torch with this many threads and this seed; both are as before afterwards.

    Torch says in a RuntimeError that memory ran out; here it becomes a MemoryError.

    Args:
        threads: threads for the arithmetic, 0 leaves their number to torch.
        seed: of torch's global generator, which first weights are drawn from.

    Raises:
        MemoryError: if torch could not have the memory it asked for.
    """
    before = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if threads:
            torch.set_num_threads(threads)
        try:
            yield
        except RuntimeError as err:
            if isinstance(err, torch.OutOfMemoryError) or "allocate memory" in str(err):
                raise MemoryError(str(err).splitlines()[0]) from err
            raise
        finally:
            torch.set_num_threads(before)
