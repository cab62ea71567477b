import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from drawn import Drawn
from torch import nn

from stocktake.errors import DataError
from stocktake.imaging.preprocess import Preprocessing
from stocktake.vision.augments import augments
from stocktake.vision.batches import Batches
from stocktake.vision.counter import Counter
from stocktake.vision.fitting import Figures, Plan, assess, fit, set_rates
from stocktake.vision.heads import heads
from stocktake.vision.losses import losses
from stocktake.vision.order import Order
from stocktake.vision.pixels import Pixels
from stocktake.vision.rows import Fold
from stocktake.vision.schedules import schedules

PREPROCESSING = Preprocessing(side_px=32, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
IDS = [f"{i:03d}" for i in range(64)]


def batches(
    ids: list[str], augment: str | None = None, *, counts: list[int] | None = None, size: int = 8
) -> Batches:
    return Batches(
        Pixels(Drawn(), ids, side_px=32),
        Fold(photo_ids=ids, counts=np.array(counts or [int(i) % 4 for i in ids])),
        Order(len(ids), batch_size=size, is_shuffled=augment is not None),
        preprocessing=PREPROCESSING,
        augment=augments.make(augment) if augment else None,
    )


def counter(max_count: int = 3) -> Counter:
    """One layer that can see how bright a photo is."""
    torch.manual_seed(0)
    backbone = nn.Sequential(
        nn.Conv2d(3, 8, 4, 4), nn.ReLU(), nn.Dropout(0.1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    return Counter(backbone, heads.make("softmax", features=8, max_count=max_count))


def plan(model: nn.Module, *, epochs: int = 2, lr: float = 0.02, **options: Any) -> Plan:
    return Plan(
        loss=losses.make("cross-entropy"),
        optimizer=torch.optim.Adam(model.parameters(), lr=lr),
        schedule=schedules.make("constant"),
        epochs=epochs,
        **options,
    )


class Diary:
    """A watcher that writes everything down."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def start(self, counter: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
        self.seen.append(("start", steps))

    def phase(self, step: int, name: str) -> None:
        self.seen.append((name, step))

    def step_end(self, step: int, loss: float) -> None:
        self.seen.append(("step_end", step))

    def epoch_end(self, figures: Figures) -> None:
        self.seen.append(("epoch_end", figures.epoch))

    def stop(self) -> None:
        self.seen.append(("stop",))


def run(model: nn.Module, how: Plan, **options: Any) -> tuple[list[Figures], list[Any]]:
    saved: list[Any] = []
    options = {"train": batches(IDS[:48], "standard"), "val": batches(IDS[48:]), **options}
    history = fit(model, how, save=lambda *what: saved.append(what), **options)
    return history, saved


def test_training_learns_the_task():
    model = counter()
    history, _ = run(model, plan(model, epochs=25), train=batches(IDS[:48], "none"))

    assert history[-1].val_loss < 0.8 * history[0].val_loss
    assert history[-1].val_accuracy > 0.7


def test_same_seed_same_weights_other_seed_other_weights():
    made = []
    for seed in (3, 3, 4):
        model = counter()
        run(model, plan(model, seed=seed))
        made.append(torch.cat([p.detach().flatten() for p in model.parameters()]))

    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


def test_training_leaves_the_global_random_state_alone():
    model = counter()
    before = torch.get_rng_state()
    run(model, plan(model))

    assert torch.equal(torch.get_rng_state(), before)


def test_each_epoch_is_saved_with_its_rank():
    model = counter()
    history, saved = run(model, plan(model, epochs=3))

    assert [figures.epoch for figures, _, _ in saved] == [1, 2, 3]
    best = float("inf")
    for figures, is_best, trainer in saved:
        assert is_best == (figures.val_loss < best)
        best = min(best, figures.val_loss)
        assert trainer["optimizer"]["state"]
        assert [row["epoch"] for row in trainer["history"]] == list(range(1, figures.epoch + 1))
    assert history == [figures for figures, _, _ in saved]


def test_training_stops_when_validation_no_longer_gains():
    model = counter()
    history, saved = run(model, plan(model, epochs=50, lr=0.0, patience=3))

    assert len(history) == 4, "one best epoch and three without a gain"
    assert [is_best for _, is_best, _ in saved] == [True, False, False, False]


def test_a_loss_that_is_not_a_number_names_step_and_photos():
    model = counter()
    with torch.no_grad():
        next(model.head.parameters()).fill_(float("nan"))

    with pytest.raises(DataError) as caught:
        run(model, plan(model), train=batches(IDS[:4], "none", size=4))
    assert "loss is nan at step 0" in str(caught.value)
    assert all(photo_id in str(caught.value) for photo_id in IDS[:4])


def test_a_rate_far_too_high_ends_in_one_clear_line():
    model = counter()

    with pytest.raises(DataError, match="lower the learning rate"):
        run(model, plan(model, epochs=20, lr=1e30))


def test_watchers_see_every_moment_in_order():
    model, diary = counter(), Diary()
    run(model, plan(model, epochs=1), train=batches(IDS[:16], "none"), watchers=[diary])

    one = ["forward", "backward", "update", "step_end", "data"]
    names = [seen[0] for seen in diary.seen]
    assert names == ["start", "data", *one, *one, "validate", "epoch_end", "stop"]
    assert diary.seen[0] == ("start", 2)
    assert [step for name, step in diary.seen[1:-1] if name == "forward"] == [0, 1]


def test_watchers_hear_of_the_end_also_after_an_error():
    model, diary = counter(), Diary()

    with pytest.raises(DataError):
        run(model, plan(model, epochs=20, lr=1e30), watchers=[diary])
    assert diary.seen[-1] == ("stop",)


def test_the_gradient_can_be_clipped():
    class Norms(Diary):
        def step_end(self, step: int, loss: float) -> None:
            grads = [p.grad for p in model.parameters() if p.grad is not None]
            self.seen.append((float(torch.stack([g.norm() for g in grads]).norm()),))

    model, norms = counter(), Norms()
    run(model, plan(model, epochs=1, clip_norm=0.01), watchers=[norms])

    found = [seen[0] for seen in norms.seen if isinstance(seen[0], float)]
    assert found and max(found) < 0.0101


def test_figures_do_not_depend_on_the_batch_size():
    model = counter()
    judged = [assess(model, losses.make("cross-entropy"), batches(IDS, size=s)) for s in (1, 7, 64)]

    assert len({round(tally.accuracy, 6) for tally in judged}) == 1
    assert np.allclose([tally.loss for tally in judged], judged[0].loss, atol=1e-5)


def test_a_count_the_model_cannot_say_is_wrong_but_no_loss():
    model = counter()
    loss = losses.make("cross-entropy")
    plain = assess(model, loss, batches(IDS[:8]))
    more = assess(model, loss, batches(IDS[:10], counts=[int(i) % 4 for i in IDS[:8]] + [9, 9]))

    assert np.isclose(more.loss, plain.loss, atol=1e-6)
    assert np.isclose(more.accuracy, plain.accuracy * 8 / 10)


def test_rates_follow_factor_and_scale():
    weight = nn.Parameter(torch.zeros(1))
    other = nn.Parameter(torch.zeros(1))
    groups = [{"params": [weight], "lr_scale": 0.1}, {"params": [other]}]
    optimizer = torch.optim.SGD(groups, lr=2.0)
    for factor in (0.5, 0.25):
        set_rates(optimizer, factor)

    assert np.allclose([g["lr"] for g in optimizer.param_groups], [0.05, 0.5])


def test_epochs_done_before_are_not_trained_again():
    model = counter()
    whole, saved = run(model, plan(model, epochs=3))
    again, more = run(model, dataclasses.replace(plan(model, epochs=3), done=whole))

    assert again == whole and more == []


def test_what_an_earlier_attempt_found_counts_for_rank_and_patience():
    model = counter()
    (first, *_), _ = run(model, plan(model, epochs=1, lr=0.0))
    good = dataclasses.replace(first, val_loss=0.0)
    history, saved = run(
        model, dataclasses.replace(plan(model, epochs=50, lr=0.0, patience=3), done=[good])
    )

    assert [figures.epoch for figures in history] == [1, 2, 3, 4]
    assert not any(is_best for _, is_best, _ in saved)


def test_patience_that_is_over_already_trains_no_epoch():
    model = counter()
    (first, *_), _ = run(model, plan(model, epochs=1))
    worse = [dataclasses.replace(first, epoch=i + 1, val_loss=float(i)) for i in range(3)]
    done = dataclasses.replace(plan(model, epochs=50, patience=2), done=worse)

    assert run(model, done)[0] == worse
