"""What losses tell: not falling, overfit, trained too long."""

import math
from collections.abc import Iterator
from statistics import fmean

from stocktake.debugger.errors import RuleError
from stocktake.debugger.records import MODES, Rows, View
from stocktake.debugger.rules import Finding, rule
from stocktake.debugger.rules.looking import Words, found, number, tensors, words


@rule(
    "LossNotDecreasing",
    reads=("losses",),
    modes=("train", "eval"),
    advice="Lower the learning rate, or raise it if the loss stands still; check labels and loss.",
    profiles={
        "manual": {"mode": "GLOBAL"},
        "2019": {
            "diff_percent": 0.0,
            "increase_threshold_percent": math.inf,
            "diff_is_rise": True,
        },
        "batches": {"num_steps": 50, "smooth": 25},
    },
)
def loss_not_decreasing(
    view: View,
    *,
    collection_names: Words = "",
    tensor_regex: Words = "",
    use_losses_collection: bool = True,
    num_steps: int = 10,
    diff_percent: float = 0.1,
    increase_threshold_percent: float = 5.0,
    mode: str = "",
    diff_is_rise: bool = False,
    smooth: int = 1,
) -> Iterator[Finding]:
    """The loss does not fall any more, or rises.

    The loss is compared with the newest one at least `num_steps` before. Every `num_steps` steps it
    must be lower by `diff_percent` %; at every step it must not be higher by more than
    `increase_threshold_percent` %. A loss that is not a number has not fallen.

    mode: whose steps are judged, "train", "eval" or "global" (both). Without one, train's, and
    eval's only if train has no losses; SageMaker would look at eval first, but steps of one pass of
    an evaluation see the same weights, so their losses have no reason to fall.
    diff_is_rise: as the manual's tests of 2019 had it, the loss fires that rose by `diff_percent`
    % or more, so that 0 means: did not fall.
    smooth: ours; a loss is the mean of so many newest ones, for losses of single batches are noisy.
    """
    if not _is_asked(view, mode):
        return
    losses = ("losses",) if use_losses_collection else ()
    for name in tensors(view, (*losses, *words(collection_names)), tensor_regex):
        rows = view.rows(name)
        before = rows.place_before(view.step - num_steps)
        if before < smooth - 1 or not rows or rows[-1].step != view.step:
            continue
        is_turn = (len(rows) - 1) % max(len(rows) - 1 - before, 1) == 0
        now = fmean(row.value for row in rows[-smooth:])
        then = fmean(row.value for row in rows[before + 1 - smooth : before + 1])
        drop = 100 * (then - now) / (abs(then) or math.inf)
        has_not_fallen = drop <= -diff_percent if diff_is_rise else not drop >= diff_percent
        if -drop > increase_threshold_percent or (is_turn and has_not_fallen):
            yield found(
                view,
                name,
                f"{name} was {number(then)} at step {rows[before].step} and is {number(now)} at "
                f"step {view.step}; it should have fallen by {number(diff_percent)} %",
                loss=now,
                loss_before=then,
                step_before=rows[before].step,
                drop_percent=drop,
            )


@rule(
    "Overfit",
    reads=("losses",),
    modes=("train", "eval"),
    advice="Stop earlier, regularise or augment more, or get more photos to train on.",
)
def overfit(
    view: View,
    *,
    tensor_regex: Words = "",
    start_step: int = 0,
    patience: int = 1,
    ratio_threshold: float = 0.1,
) -> Iterator[Finding]:
    """The validation loss is well above the training loss.

    A check is one pass over the validation set: eval losses between two train losses, by time. Its
    mean is held against the mean of the train losses since the pass before, for a mean over the
    whole training would lag behind. Fires if (eval - train) / |train| was over `ratio_threshold` at
    this check and the `patience` - 1 before. A pass is judged when it has as many losses as the one
    before, and the very first when training goes on after it. `start_step` counts train steps.
    """
    for name in tensors(view, (), tensor_regex, otherwise=("losses",)):
        checks = _checks(view, name, patience)
        ratios = [(held - train) / (abs(train) or math.inf) for held, train in checks]
        if len(ratios) == patience and min(ratios) > ratio_threshold:
            if view.rows(name, mode="train")[-1].step < start_step:
                continue
            held, train = checks[0]
            yield found(
                view,
                name,
                f"{name} is {number(held)} in validation and {number(train)} in training, "
                f"{number(100 * ratios[0])} % above; at most {number(100 * ratio_threshold)} % "
                "were expected",
                validation=held,
                training=train,
                ratio=ratios[0],
            )


@rule(
    "Overtraining",
    reads=("losses",),
    modes=("train", "eval"),
    advice="Stop here and keep the weights of the best step, or lower the learning rate.",
    profiles={"batches": {"smooth": 20}},
)
def overtraining(
    view: View,
    *,
    patience_train: int = 5,
    patience_validation: int = 10,
    delta: float = 0.01,
    smooth: int = 1,
) -> Iterator[Finding]:
    """The loss has stopped getting better.

    Fires if none of the newest losses, `patience_train` of train steps or `patience_validation` of
    eval steps, is lower by `delta` than the lowest before them. Steps are those that have a loss in
    the record, so what patience means depends on how often losses are recorded. With `smooth`,
    ours, each so many train losses count as one, their mean: losses of single batches are noisy.
    """
    patience = patience_train if view.mode == "train" else patience_validation
    for name in view.names("losses"):
        rows = view.rows(name)
        size = smooth if view.mode == "train" else 1
        if len(rows) <= patience * size or len(rows) % size or rows[-1].step != view.step:
            continue
        best, recent = _best(rows, len(rows) - patience * size, size)
        if not recent < best - delta:
            yield found(
                view,
                name,
                f"the best of the last {patience} {view.mode} losses of {name} is "
                f"{number(recent)}, the best before was {number(best)}; an improvement of "
                f"{number(delta)} was expected",
                recent=recent,
                best=best,
            )


def _is_asked(view: View, mode: str) -> bool:
    """Whether losses of the view's mode are those to look at."""
    asked = mode.lower()
    if asked and asked not in (*MODES, "global"):
        raise RuleError(f"mode must be one of {', '.join(MODES)} or global, got '{mode}'")
    if not asked:
        has = {one: bool(view.record.names("losses", one)) for one in MODES}
        asked = "eval" if has["eval"] and not has["train"] else "train"
    return asked in (view.mode, "global")


def _best(rows: Rows, start: int, size: int) -> tuple[float, float]:
    """The least loss before a place and the least from there on, of means of `size` losses."""
    recent = (fmean(row.value for row in rows[i : i + size]) for i in range(start, len(rows), size))
    if size == 1:
        return rows.lowest(start), min(recent)
    before = (fmean(row.value for row in rows[i : i + size]) for i in range(0, start, size))
    return min(before), min(recent)


def _checks(view: View, name: str, wanted: int) -> list[tuple[float, float]]:
    """Mean eval loss and mean train loss of the newest checks, newest first; none if none is due.

    At an eval step a check is due if its pass has reached the length of the pass before; at a train
    step only if it is the first after the first pass.
    """
    held, train = view.rows(name, mode="eval"), view.rows(name, mode="train")
    passes: list[tuple[list[float], list[float]]] = []
    i, j = len(held), len(train) - (view.mode == "train")
    while i > 0 and j > 0 and len(passes) < max(wanted, 2):
        of_pass, before_it = [], []
        while i > 0 and held[i - 1].time >= train[j - 1].time:
            i -= 1
            of_pass.append(held[i].value)
        while j > 0 and (i == 0 or train[j - 1].time > held[i - 1].time):
            j -= 1
            before_it.append(train[j].value)
        if not of_pass:
            return []
        passes.append((of_pass, before_it))
    if view.mode == "train":
        is_due = len(passes) == 1 and i == 0
    else:
        is_due = len(passes) > 1 and len(passes[0][0]) == len(passes[1][0])
    due = passes[:wanted] if is_due else []
    return [(fmean(of), fmean(before)) for of, before in due if before]
