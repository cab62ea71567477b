import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from small import IDS, Kept, batches, counter, plan
from torch import nn

from stocktake.errors import DataError
from stocktake.vision.averaging import Averaged
from stocktake.vision.counter import Counter
from stocktake.vision.fitting import Figures, Midway, Plan, assess, best_of, fit
from stocktake.vision.heads import heads
from stocktake.vision.losses import losses


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
    kept = options.pop("kept", Kept(model))
    options = {"train": batches(IDS[:48], "standard"), "val": batches(IDS[48:]), **options}
    history = fit(model, how, save=kept, **options)
    return history, kept.epochs


def flat(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


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


def test_training_ends_before_the_epoch_when_enough_was_seen():
    model = counter()
    seen: list[int] = []
    how = dataclasses.replace(plan(model, epochs=9), is_enough=lambda: len(seen) >= 2)

    class Count(Diary):
        def epoch_end(self, figures: Figures) -> None:
            seen.append(figures.epoch)

    history, saved = run(model, how, watchers=[Count()])

    assert [figures.epoch for figures in history] == [1, 2] and len(saved) == 2


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


def test_an_epoch_is_the_last_one_once_it_is_enough():
    model = counter()
    ended: list[int] = []
    enough = dataclasses.replace(plan(model, epochs=50), is_enough=lambda: len(ended) == 2)

    class Ends:
        def epoch_end(self, figures):
            ended.append(figures.epoch)

        def __getattr__(self, name):
            return lambda *_: None

    fitting = run(model, enough, watchers=[Ends()])[0]

    assert [figures.epoch for figures in fitting] == [1, 2]


def test_patience_that_is_over_already_trains_no_epoch():
    model = counter()
    (first, *_), _ = run(model, plan(model, epochs=1))
    worse = [dataclasses.replace(first, epoch=i + 1, val_loss=float(i)) for i in range(3)]
    done = dataclasses.replace(plan(model, epochs=50, patience=2), done=worse)

    assert run(model, done)[0] == worse


@pytest.mark.parametrize("decay", [0.0, 0.9])
@pytest.mark.parametrize("steps", [1, 4, 6, 7, 13])
def test_training_stopped_after_any_step_goes_on_as_if_nothing_had_been(decay, steps):
    def planned(model, **more):
        averaged = Averaged(model, decay=decay) if decay else None
        return plan(model, epochs=3, averaged=averaged, clip_norm=1.0, **more)

    calm = counter()
    whole, _ = run(calm, planned(calm))

    model = counter()
    kept, asked = Kept(model), iter([False] * (steps - 1) + [True])
    with pytest.raises(KeyboardInterrupt):
        run(model, planned(model, should_stop=lambda: next(asked)), kept=kept)
    ((epochs, step, trainer, weights),) = kept.midways
    assert step == steps and epochs == (steps - 1) // 6

    again = counter()
    again.load_state_dict(weights)
    done = [Figures(**row) for row in trainer["history"]]
    resumed = planned(again, done=done, midway=Midway(**trainer["midway"]))
    resumed.optimizer.load_state_dict(trainer["optimizer"])
    if resumed.averaged:
        resumed.averaged.restore(trainer["averaged"])
    history, _ = run(again, resumed)

    assert torch.equal(flat(again), flat(calm))
    clocks = {"seconds": 0.0, "wait_s": 0.0, "photos_per_s": 0.0}
    assert [dataclasses.replace(one, **clocks) for one in history] == [
        dataclasses.replace(one, **clocks) for one in whole
    ]


def test_checkpoints_within_an_epoch_come_as_often_as_asked():
    model = counter()
    kept = Kept(model)
    run(model, plan(model, epochs=1, save_every_s=1e-9), kept=kept)
    assert [step for _, step, _, _ in kept.midways] == [1, 2, 3, 4, 5, 6]

    kept = Kept(model)
    run(model, plan(model, epochs=1, save_every_s=1e9), kept=kept)
    assert kept.midways == []


def test_a_batch_in_parts_is_the_same_step():
    made = []
    for parts in (1, 2, 3, 8):
        torch.manual_seed(0)
        model = Counter(
            nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
            heads.make("softmax", features=8, max_count=3),
        )
        run(model, plan(model, epochs=1, accumulate=parts))
        made.append(flat(model))

    assert all(torch.allclose(one, made[0], atol=1e-5) for one in made)


def test_the_average_is_what_is_judged_and_kept():
    model = counter()
    kept = Kept(model)
    averaged = Averaged(model, decay=0.9)
    history, _ = run(model, plan(model, epochs=1, averaged=averaged), kept=kept)
    own = {name: value.clone() for name, value in model.state_dict().items()}
    key = next(name for name in own if name.startswith("head."))

    assert not torch.equal(kept.weights[key], own[key])
    assert torch.equal(kept.epochs[0][2]["own"][key], own[key])
    model.load_state_dict(kept.weights)
    judged = assess(model, losses.make("cross-entropy"), batches(IDS[48:]))
    assert np.isclose(judged.loss, history[0].val_loss, atol=1e-6)


def test_mixup_changes_what_is_learnt_and_follows_the_seed():
    made = []
    for mixup, seed in ((0.0, 1), (0.4, 1), (0.4, 1), (0.4, 2)):
        model = counter()
        run(model, plan(model, epochs=1, mixup=mixup, seed=seed))
        made.append(flat(model))

    assert torch.equal(made[1], made[2])
    assert not torch.equal(made[0], made[1]) and not torch.equal(made[2], made[3])


def test_the_best_epoch_is_best_by_what_was_asked():
    model = counter()
    (first, *_), _ = run(model, plan(model, epochs=1))
    rows = [
        dataclasses.replace(first, epoch=epoch, val_loss=loss, val_accuracy=accuracy)
        for epoch, loss, accuracy in ((1, 1.2, 0.3), (2, 1.0, 0.4), (3, 1.1, 0.5), (4, 1.1, 0.5))
    ]

    found = [best_of(rows, how).epoch for how in ("val_loss", "val_accuracy", "epoch")]
    assert found == [2, 3, 4]
