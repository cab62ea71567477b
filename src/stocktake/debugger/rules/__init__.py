"""Rules: pure functions that look at a record as it was at a step, and say what is wrong with it.

    @rule("VanishingGradient", reads=("gradients",), advice="...")
    def vanishing_gradient(view: View, *, threshold: float = 1e-7) -> Iterator[Finding]: ...

A rule's name and the names and defaults of its parameters are SageMaker's. Where its client library
and its manual differ, the client's are the defaults, and the manual's are in the profile "manual".
The client sends a debug rule's name and no numbers, so for these the defaults are the manual's too,
save where a docstring says why not. What SageMaker's rules compute was never published: a docstring
says what ours do.

Besides numbers of whole tensors (mean, std, abs_mean, min, max, p5, p95, nans, infs, zeros,
positive), rules know these statistics:

| statistic | |
|---|---|
| tensor | `values`: the whole tensor, flat; `shape` its shape |
| units_positive | `values`: share of elements over 0, per unit (size of dimension 1) |
| units_inside | `values`: share of an activation's inputs inside `SATURATION`, per unit |
| channel_means | `values`: mean per channel (size of dimension 1); `shape` that of the batch |
| update_abs_mean | mean absolute change of a weight since its row before; none at the first |
"""

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args, get_type_hints

from stocktake.debugger.errors import RuleError
from stocktake.debugger.parameters import check_known, defaults, on_shelf
from stocktake.debugger.records import Mode, View

Judge = Callable[..., Iterator["Finding"]]

PROFILES = ("client", "manual", "2019", "batches")
"""Sets of defaults: as the client library sends, as the manual says, as it said in 2019; and ours
for records that hold the loss of every batch, whose noise the others take for an illness."""

SATURATION = {"Tanh": (-9.4999, 9.4999), "Sigmoid": (-23.0, 16.99999)}
"""Inputs beyond these no longer move a float32 output; the defaults of SaturatedActivation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """Something a rule found."""

    step: int
    mode: Mode
    tensor: str
    """What it was found in; empty for the training as a whole."""
    message: str
    """One line: what was found, and what the rule expected."""
    evidence: Mapping[str, float]
    """The numbers that made the rule fire."""
    worker: int = 0
    """Rank of the process that it was found in."""

    def as_json(self) -> dict[str, Any]:
        """What is written about it; numbers that JSON does not have are texts, as "nan"."""
        evidence = {
            name: float(value) if math.isfinite(value) else str(float(value))
            for name, value in self.evidence.items()
        }
        return {
            "step": self.step,
            "mode": self.mode,
            "worker": self.worker,
            "tensor": self.tensor,
            "message": self.message,
            "evidence": evidence,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """A rule on the shelf."""

    name: str
    judge: Judge
    reads: tuple[str, ...]
    """Collections that it looks at; none if it looks at times alone: asked also when idle."""
    statistics: tuple[str, ...]
    """Statistics of their tensors that it needs."""
    modes: tuple[Mode, ...]
    """Modes whose steps it is asked about."""
    advice: str
    """What to do about it, one sentence."""
    profiles: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Other sets of defaults, by name."""

    @property
    def about(self) -> str:
        """What the rule looks for: the first line of its docstring."""
        return (inspect.getdoc(self.judge) or "").partition("\n")[0]

    def parameters(self, profile: str = "") -> dict[str, Any]:
        """Its parameters with their defaults.

        Raises:
            RuleError: for a profile that it does not have.
        """
        if profile and profile not in PROFILES:
            raise RuleError(f"there is no profile '{profile}'; they are {', '.join(PROFILES)}")
        return defaults(self.judge) | dict(self.profiles.get(profile, {}))

    def with_parameters(
        self, given: Mapping[str, Any], profile: str = ""
    ) -> Callable[[View], Iterator[Finding]]:
        """The rule with its parameters set.

        Texts are read as the parameter's type: "0.5" for a float, "true" for a bool, as SageMaker
        sends them.

        Raises:
            RuleError: for an unknown parameter, with near names, or a value of another type.
        """
        known = self.parameters(profile)
        hints = get_type_hints(self.judge)
        for name, value in given.items():
            check_known(self.name, name, known)
            known[name] = _read(f"rule {self.name}: {name}", value, hints.get(name))

        def judge(view: View) -> Iterator[Finding]:
            return self.judge(view, **known)

        return judge


RULES: dict[str, Rule] = {}
"""Every rule by its name."""


def rule(
    name: str,
    *,
    reads: tuple[str, ...],
    advice: str,
    statistics: tuple[str, ...] = ("value",),
    modes: tuple[Mode, ...] = ("train",),
    profiles: Mapping[str, Mapping[str, Any]] | None = None,
) -> Callable[[Judge], Judge]:
    """Put a rule on the shelf; its parameters are the function's keyword-only arguments.

    Raises:
        RuleError: if the name is taken.
    """

    def put(judge: Judge) -> Judge:
        if name in RULES:
            raise RuleError(f"there are two rules called {name}; give one another name")
        RULES[name] = Rule(
            name=name,
            judge=judge,
            reads=reads,
            statistics=statistics,
            modes=modes,
            advice=advice,
            profiles=profiles or {},
        )
        return judge

    return put


def find(name: str) -> Rule:
    """The rule of that name; case, hyphens and underscores do not matter.

    Raises:
        RuleError: if there is none, with the nearest name.
    """
    _load()
    return on_shelf(name, RULES, "rule")


def names() -> list[str]:
    """Names of all rules on the shelf."""
    _load()
    return sorted(RULES)


def _load() -> None:
    """Import the modules beside this one, which put their rules on the shelf."""
    import importlib
    import pkgutil

    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")


def _read(what: str, value: Any, hint: Any) -> Any:
    """A parameter's value as its type hint says; what is neither number nor bool stays as it is."""
    kinds = get_args(hint) or (hint,)
    wanted = next((kind for kind in (bool, int, float) if kind in kinds), None)
    if wanted is None or (value is None and type(None) in kinds):
        return value
    try:
        if wanted is bool:
            return {"true": True, "false": False}[str(value).lower()]
        if isinstance(value, bool) or (number := float(value)) != number:
            raise ValueError
        made = wanted(number)
        if made != number:
            raise ValueError
        return made
    except (ValueError, TypeError, KeyError, OverflowError):
        raise RuleError(f"{what} must be {wanted.__name__}, got {value!r}") from None
