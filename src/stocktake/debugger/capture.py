"""Recorder: sees a PyTorch training through hooks and writes down what it saw.

    recorder = Recorder("debug-output")
    recorder.watch(model, optimizer=optimizer, loss=loss_fn)
    ...                                      # the loop as it was
    with recorder.mode("eval"):
        ...                                  # validation

Each step of the optimizer is a step of mode train; in another mode each forward of the model is
one. On a step that is not saved no module inside the model has a hook. On one that is, numbers are
computed where the tensors are and fetched in one transfer per device, which on a GPU nobody
waits for but the writer's thread.

What is seen when: gradients and weights just before the optimizer's step, so unscaled by a
GradScaler, averaged by DistributedDataParallel, clipped if they were clipped; a step that a
GradScaler skips is no step. Losses are averaged over a step's forwards, as in gradient
accumulation; inputs and activations are those of its first forward.

What is not seen: functions (`F.relu`) and losses that are functions, give those to `scalar`;
parameters that do not learn. Activations inside of `torch.compile`; where the model was compiled
only after `watch`, its inputs and the steps of eval neither (then call `step`), and it is compiled
twice. Steps, where `optimizer.step` itself was compiled. Under FSDP, other ranks' shards.
"""

import logging
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.compiler import is_compiling
from torch.optim import Optimizer

from stocktake.debugger import hooks, reductions, selection
from stocktake.debugger.errors import DebuggerError
from stocktake.debugger.hooks import ACTIVATIONS, Hook, Switched, kind_of, tensors_in, unwrapped
from stocktake.debugger.records import MODES, Mode
from stocktake.debugger.reductions import Seen
from stocktake.debugger.selection import KNOWN, USUAL, Collection, When, near_names
from stocktake.debugger.writer import Writer, one_line

log = logging.getLogger("stocktake.debugger")


@dataclass(slots=True)
class _Step:
    """What has been seen of a step so far."""

    number: int
    due: frozenset[str]
    is_over: bool = False
    seen: list[Seen] = field(default_factory=list)
    losses: dict[str, list[Tensor | float]] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    forwards: Counter[str] = field(default_factory=Counter)


class Recorder:
    """Records a training; see the module. Close it, or use it as a context manager."""

    def __init__(
        self,
        folder: Path | str,
        *,
        collections: Sequence[str] | Mapping[str, Collection] = USUAL,
        every: Mapping[str, When] | None = None,
        worker: int | None = None,
        flush_s: float = 1.0,
    ) -> None:
        """Nothing is written before the first `watch`.

        Args:
            folder: where the record goes; one that is there is gone on with.
            collections: names from KNOWN, or what is saved of each by its name.
            every: when to save, by mode; 100 for train, 1 for eval and predict if not said.
            worker: rank of this process; torch.distributed's if None.
            flush_s: seconds that a kill may cost at first.

        Raises:
            DebuggerError: for an unknown collection, statistic or mode, or an interval below 1.
        """
        if not isinstance(collections, Mapping):
            collections = {name: selection.known(name) for name in collections}
        self._collections = dict(collections)
        self._asked = frozenset(collections)
        for name, one in self._collections.items():
            if name not in KNOWN and not one.regex:
                raise DebuggerError(f"collection '{name}' needs a regex; {near_names(name, KNOWN)}")
        self._every: dict[str, When] = {"train": 100, "eval": 1, "predict": 1, **(every or {})}
        for given in (self._every, *(one.every for one in self._collections.values())):
            selection.check_every(given)
        self.folder, self._worker, self._flush_s = Path(folder), worker, flush_s
        self._writer: Writer | None = None
        self._handles: list[Any] = []
        self._switched = Switched()
        self._optimizers: list[Optimizer] = []
        self._names: dict[int, str] = {}
        self._parameters: dict[str, nn.Parameter] = {}
        self._places: dict[str, tuple[str, ...]] = {}
        self._before: dict[str, Tensor] = {}
        self._roots: list[str] = []
        self._inside: set[str] = set()
        self._has_loss = False
        self._mode: Mode = "train"
        self._modes = {mode: self._step_of(mode, 0) for mode in MODES}
        self._now = self._modes["train"]

    def watch(
        self,
        model: nn.Module,
        *,
        optimizer: Optimizer | Sequence[Optimizer] = (),
        loss: nn.Module | Mapping[str, nn.Module] | None = None,
        name: str = "",
    ) -> None:
        """Put hooks on a model.

        Args:
            model: may be wrapped by DistributedDataParallel or torch.compile.
            optimizer: its step ends ours; of several, the last one's. Without any call `step`.
            loss: module whose output is the loss; several by name.
            name: stands before the names of a second model's tensors.

        Raises:
            DebuggerError: if a regular expression matches no tensor, with near names; or for a
                loss that is not a module.
        """
        losses = loss if isinstance(loss, Mapping) else {"loss": loss} if loss is not None else {}
        for key, one in losses.items():
            if not isinstance(one, nn.Module):
                raise DebuggerError(
                    f"{key} is a {type(one).__name__}, only a module can be watched; call"
                    f" recorder.scalar('{key}', value, collection='losses') in the loop"
                )
        self._open()
        inner, is_compiled = unwrapped(model)
        prefix, root = f"{name}." if name else "", name or "model"
        modules = {prefix + key if key else root: one for key, one in inner.named_modules()}
        self._learn_names(inner, prefix, modules)
        self._has_loss = self._has_loss or bool(losses)
        self._roots.append(root)
        keep = self._handles.append
        keep(model.register_forward_pre_hook(Hook(self._begins, root), with_kwargs=True))
        keep(model.register_forward_hook(Hook(self._ends, root)))
        if is_compiled:
            log.info("%s is compiled: what its modules see inside is not recorded", root)
        else:
            self._watch_modules(modules, root)
            self._switched.turn(self._now.due)
        for key, module in losses.items():
            keep(module.register_forward_hook(Hook(self._lost, key)))
        for updater in [optimizer] if isinstance(optimizer, Optimizer) else optimizer:
            self._optimizers.append(updater)
            keep(updater.register_step_pre_hook(Hook(self._before_update)))
            keep(updater.register_step_post_hook(Hook(self._after_update)))

    @contextmanager
    def mode(self, mode: Mode) -> Iterator[None]:
        """What happens inside belongs to this mode, whose steps are counted on their own."""
        if mode not in MODES:
            raise DebuggerError(f"there is no mode '{mode}'; {near_names(mode, MODES)}")
        outer = self._mode
        self._enter(mode)
        try:
            yield
        finally:
            now = self._now
            if mode != "train" and (now.forwards or now.seen or now.losses):
                self._finish()
            self._enter(outer)

    def step(self) -> None:
        """This step is over. Not for steps that a watched optimizer counts."""
        if self._mode == "train" and self._optimizers:
            raise DebuggerError(
                "steps are counted by the watched optimizer; leave recorder.step() out,"
                " or watch the model without optimizer="
            )
        if self._now.due:
            self._see_parameters(self._parameters.values())
        self._finish()

    def start_at(self, step: int, mode: Mode = "train") -> None:
        """Go on counting from here, as after a checkpoint; what was told from here is told anew."""
        self._modes[mode] = self._step_of(mode, step)
        self._now = self._modes[self._mode]
        self._switched.turn(self._now.due)

    @property
    def steps(self) -> dict[Mode, int]:
        """The step that each mode is at; what a checkpoint needs for `start_at`."""
        return {mode: one.number + one.is_over for mode, one in self._modes.items()}

    def scalar(self, name: str, value: Tensor | float, *, collection: str = "scalars") -> None:
        """Record a number, if its collection is due at this step. A tensor's is not waited for.

        Told between the optimizer's step and the next forward, it belongs to the step just made.
        """
        self._want(collection)
        if collection not in self._now.due:
            return
        number = value.detach().float().mean() if isinstance(value, Tensor) else float(value)
        if collection == "losses":
            self._now.losses.setdefault(name, []).append(number)
        else:
            self._now.seen.append(Seen(name, collection, "", "value", (), number))

    def tensor(self, name: str, tensor: Tensor, *, collection: str) -> None:
        """Record a tensor of the loop's own, if its collection is due at this step.

        Told between the optimizer's step and the next forward, it belongs to the step to come.
        """
        self._want(collection)
        if self._now.is_over:
            self._finish()
        self._see(name, tensor, (collection,))

    def detach(self) -> None:
        """Take every hook away; the models and optimizers are as they were."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._switched.clear()
        self._optimizers.clear()

    def close(self, error: BaseException | None = None) -> None:
        """Take the hooks away, write what is left and how the training ended."""
        self.detach()
        if self._writer is None:
            return
        steps = self.steps
        for mode in MODES:
            self._enter(mode)
            if self._now.seen or self._now.losses:
                self._finish()
        status, line = ("failed", one_line(error)) if error else ("done", "")
        self._writer.close(status, line, steps=steps)

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close(err)

    def _step_of(self, mode: Mode, number: int) -> _Step:
        return _Step(number, self._due(mode, number))

    def _due(self, mode: Mode, number: int) -> frozenset[str]:
        return frozenset(
            name
            for name, one in self._collections.items()
            if selection.is_due(one.every.get(mode, self._every[mode]), number)
        )

    def _enter(self, mode: Mode) -> None:
        if self._now.is_over:
            self._finish()
        self._mode, self._now = mode, self._modes[mode]
        self._switched.turn(self._now.due)

    def _finish(self) -> None:
        """Send what was seen of this step, and begin the next one."""
        now, mode = self._now, self._mode
        self._modes[mode] = self._now = self._step_of(mode, now.number + 1)
        self._switched.turn(self._now.due)
        if not now.seen and not now.losses:
            return
        writer = self._open()
        try:
            with torch.no_grad():
                for name, found in now.losses.items():
                    for one in reductions.averages(found):
                        now.seen.append(Seen(name, "losses", "", "value", (), *one))
                fetched = reductions.Fetched(now.seen)
        except RuntimeError as err:
            self._fail(err, len(now.seen))
            return
        about: dict[str, Any] = {
            "step": now.number,
            "mode": mode,
            "worker": writer.worker,
            "now": time.time(),
        }
        make = partial(reductions.table, now.seen, fetched, **about)
        writer.put(make, rows=len(now.seen), numbers=fetched.size)

    def _open(self) -> Writer:
        if self._writer is None:
            rank = hooks.own_rank() if self._worker is None else self._worker
            self._writer = Writer(
                self.folder, worker=rank, flush_s=self._flush_s, at_exit=self.close
            )
        return self._writer

    def _want(self, collection: str) -> None:
        """Told by hand, a collection is wanted, also if it was not among those asked for."""
        if collection not in self._collections:
            self._collections[collection] = selection.known(collection)
            for mode, one in self._modes.items():
                one.due = self._due(mode, one.number)
            self._switched.turn(self._now.due)

    def _learn_names(self, inner: nn.Module, prefix: str, modules: Mapping[str, nn.Module]) -> None:
        """Learn what the model's tensors are called, and which collections each is in."""
        places: dict[str, tuple[str, ...]] = {}
        for key, parameter in inner.named_parameters():
            if parameter.requires_grad:
                name = prefix + key
                self._names[id(parameter)], self._parameters[name] = name, parameter
                places[name] = ("biases" if key.endswith("bias") else "weights",)
                places[f"gradient/{name}"] = ("gradients",)
        for name, module in modules.items():
            kind = kind_of(module)
            places[f"{name}:out"] = ("activations",) if kind else ()
            places[f"{name}:in"] = ("activation_inputs",) if kind in ACTIVATIONS else ()
        for name, one in self._collections.items():
            if name in KNOWN:
                continue
            found = [place for place in places if re.search(one.regex, place)]
            if not found and not self._roots:
                raise DebuggerError(
                    f"collection '{name}': no tensor is called like '{one.regex}';"
                    f" {near_names(one.regex, places)}"
                )
            for place in found:
                places[place] += (name,)
        self._places |= {
            place: kept
            for place, given in places.items()
            if (kept := tuple(name for name in given if self._is_in(place, name)))
        }

    def _is_in(self, place: str, name: str) -> bool:
        one = self._collections.get(name)
        return one is not None and re.search(one.regex, place) is not None

    def _watch_modules(self, modules: Mapping[str, nn.Module], root: str) -> None:
        for name, module in modules.items():
            kind = kind_of(module) or type(module).__name__
            come, go = module.register_forward_pre_hook, module.register_forward_hook
            for place, register in ((f"{name}:in", come), (f"{name}:out", go)):
                hook = Hook(self._passed, root, place, kind)
                if place in self._places and name == root:  # its forward is what turns the others
                    self._handles.append(register(hook))
                elif place in self._places:
                    self._switched.add(register, hook)

    def _begins(self, root: str, module: nn.Module, args: Any, kwargs: Any) -> None:
        if is_compiling():
            return
        is_next = self._mode != "train" and root == self._roots[0] and self._now.forwards[root]
        if is_next or self._now.is_over:
            self._finish()
        now = self._now
        now.forwards[root] += 1
        self._inside.add(root)
        if "inputs" in now.due and now.forwards[root] == 1:
            name = "input" if root == self._roots[0] else f"{root}.input"
            for place, tensor in tensors_in((*args, kwargs)):
                self._see(name + ("" if place == ".0" else place), tensor, ("inputs",))

    def _ends(self, root: str, module: nn.Module, args: Any, output: Any) -> None:
        if is_compiling():
            return
        self._inside.discard(root)
        is_asked = "predictions" in self._asked and not self._has_loss
        if is_asked and "predictions" in self._now.due:
            for place, tensor in tensors_in(output):
                self._see("predictions" + place, tensor, ("predictions",))

    def _lost(self, name: str, module: nn.Module, args: Any, output: Any) -> None:
        if is_compiling():
            return
        if self._now.is_over:
            self._finish()
        now = self._now
        if "losses" in now.due:
            for place, tensor in tensors_in(output):
                number = tensor.detach().float().mean()
                now.losses.setdefault(name + place, []).append(number)
        for collection, given in zip(("predictions", "labels"), args, strict=False):
            is_asked = collection in self._asked and collection in now.due
            if is_asked and isinstance(given, Tensor):
                called = collection if name == "loss" else f"{name}.{collection}"
                self._see(self._call(called), given, (collection,))

    def _before_update(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if is_compiling():
            return
        if self._now.is_over:
            self._finish()
        if self._now.due:
            self._see_parameters(p for group in optimizer.param_groups for p in group["params"])

    def _after_update(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if is_compiling():
            return
        if self._now.due:
            self._see_updates()
        if "optimizer" in self._now.due:
            self._see_state(optimizer)
        if optimizer is self._optimizers[-1]:
            self._now.is_over = True

    def _passed(
        self, root: str, name: str, kind: str, module: nn.Module, args: Any, *output: Any
    ) -> None:
        """What a module took, or gave, in the model's first forward of the step.

        Outside of a forward, modules run again when a checkpointed one is recomputed.
        """
        now = self._now
        if is_compiling() or not now.due:
            return
        if now.forwards[root] > 1 or (now.forwards[root] and root not in self._inside):
            return
        called = self._call(name)
        for place, tensor in tensors_in(output[0] if output else args):
            place = "" if not output and len(args) == 1 else place
            self._see(called + place, tensor, self._places[name], kind)

    def _call(self, name: str) -> str:
        """The name, and from a second call within the step on, which call it was."""
        self._now.calls[name] += 1
        calls = self._now.calls[name]
        return name if calls == 1 else f"{name}#{calls}"

    def _see_parameters(self, parameters: Any) -> None:
        for parameter in parameters:
            name = self._names.get(id(parameter))
            if name is None or self._now.calls[name]:
                continue
            self._now.calls[name] += 1
            places = self._places.get(name, ())
            self._see(name, parameter, places)
            if parameter.grad is not None:
                gradient = f"gradient/{name}"
                self._see(gradient, parameter.grad, self._places.get(gradient, ()))
            if any(self._wants_update(place) for place in places):
                try:
                    self._before[name] = parameter.detach().clone()
                except RuntimeError as err:  # no memory for a copy
                    self._fail(err, 1)

    def _wants_update(self, place: str) -> bool:
        return place in self._now.due and "update_ratio" in self._collections[place].statistics

    @torch.no_grad()
    def _see_updates(self) -> None:
        for name, before in self._before.items():
            after = self._parameters[name]
            change, size = (torch.linalg.vector_norm(one) for one in (after - before, before))
            for place in self._places[name]:
                if self._wants_update(place):
                    shape, ratio = tuple(after.shape), change / (size + 1e-9)
                    self._now.seen.append(Seen(name, place, "", "update_ratio", shape, ratio))
        self._before.clear()

    def _see_state(self, optimizer: Optimizer) -> None:
        for name, found in hooks.state_of(optimizer, self._names):
            if isinstance(found, Tensor):
                self._see(name, found, ("optimizer",))
            else:
                self._now.seen.append(Seen(name, "optimizer", "", "value", (), found))

    def _see(self, name: str, tensor: Tensor, collections: tuple[str, ...], kind: str = "") -> None:
        """Compute what is due of a tensor, on its device."""
        now = self._now
        for collection in collections:
            if collection not in now.due:
                continue
            wanted = self._collections[collection].statistics
            try:
                with torch.no_grad():
                    found = reductions.reduce(tensor, wanted)
            except (RuntimeError, TypeError, ValueError) as err:
                self._fail(err, len(wanted))
                continue
            shape = tuple(tensor.shape)
            now.seen += [
                Seen(name, collection, kind, statistic, shape, number, divisor)
                for statistic, number, divisor in found
            ]

    def _fail(self, err: Exception, rows: int) -> None:
        """What could not be computed, as for want of memory, is counted; training goes on."""
        self._open().lose(err, rows)
