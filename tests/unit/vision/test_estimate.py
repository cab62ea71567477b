import copy

import torch
from small import IDS, batches, counter, plan

from stocktake.vision import estimate
from stocktake.vision.averaging import Averaged
from stocktake.vision.fitting import Midway


def test_nothing_stays_changed():
    model = counter()
    averaged = Averaged(model, decay=0.9)
    how = plan(model, epochs=2, averaged=averaged)
    before = copy.deepcopy((model.state_dict(), how.optimizer.state_dict(), averaged.state()))
    random = torch.get_rng_state()
    estimate.of(model, how, train=batches(IDS[:48], "standard"), val=batches(IDS[48:]))

    after = (model.state_dict(), how.optimizer.state_dict(), averaged.state())
    assert all(torch.equal(after[0][key], before[0][key]) for key in before[0])
    assert after[1] == before[1] and not how.optimizer.state
    assert torch.equal(torch.get_rng_state(), random)
    assert all(p.grad is None for p in model.parameters())


def test_the_rest_of_a_training_takes_what_is_left(monkeypatch):
    monkeypatch.setattr(estimate, "_timed", lambda *_: 2.0)
    monkeypatch.setattr(estimate, "_looked", lambda *_: 0.5)
    model = counter()
    sides = {"train": batches(IDS[:48], "none"), "val": batches(IDS[48:])}  # 6 and 2 batches
    whole = estimate.of(model, plan(model, epochs=3), **sides)
    midway = Midway(epoch=1, batches=4)
    rest = estimate.of(model, plan(model, epochs=3, midway=midway), **sides)

    assert whole.seconds == 3 * (6 * 2.0 + 2 * 0.5)
    assert (
        rest.seconds == whole.seconds - 4 * 2.0 and rest.whole_s == whole.whole_s == whole.seconds
    )
    assert whole.step_s == 2.0 and 0.05 < whole.memory_gb < 64 and whole.gpu_memory_gb == 0
