"""World: where torch computes: its threads and its random state, borrowed and given back."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


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
