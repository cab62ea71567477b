import copy
import io

import pytest
import torch
from torch import nn

from stocktake.debugger.hooks import Hook, Switched, kind_of, state_of, tensors_in, unwrapped


class MyReLU(nn.ReLU):
    pass


@pytest.mark.parametrize(
    ("module", "kind"),
    [
        (nn.ReLU(), "ReLU"),
        (MyReLU(), "ReLU"),
        (nn.Conv2d(1, 1, 1), "Conv2d"),
        (nn.Identity(), ""),
        (nn.Sequential(nn.ReLU()), ""),
        (nn.LazyLinear(3), "Linear"),
    ],
)
def test_a_module_is_told_by_its_type(module, kind):
    assert kind_of(module) == kind


def test_tensors_are_found_in_whatever_a_module_gives():
    a, b, c = (torch.full((1,), float(n)) for n in range(3))

    found = dict(tensors_in({"logits": a, "hidden": (b, [c]), "text": "no", "none": None}))

    assert found == {".logits": a, ".hidden.0": b, ".hidden.1.0": c}
    assert dict(tensors_in(a)) == {"": a}


def test_a_copied_or_pickled_model_has_a_hook_that_does_nothing():
    calls = []
    model = nn.Linear(2, 2)
    model.register_forward_hook(Hook(lambda *_: calls.append(1)))
    buffer = io.BytesIO()
    torch.save(model, buffer)
    buffer.seek(0)

    for other in (copy.deepcopy(model), torch.load(buffer, weights_only=False)):
        other(torch.zeros(1, 2))
    assert calls == []
    model(torch.zeros(1, 2))
    assert calls == [1]


def test_wrappers_are_looked_through():
    inner = nn.Linear(2, 2)

    assert unwrapped(inner) == (inner, False)
    assert unwrapped(nn.DataParallel(inner)) == (inner, False)


def test_an_optimizers_state_is_told_by_the_parameters_names():
    model = nn.Linear(2, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.5)
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()

    found = dict(state_of(optimizer, {id(model.weight): "fc.weight"}))

    assert found["group0/lr"] == 0.5
    assert found["exp_avg/fc.weight"].shape == (1, 2)
    assert not [name for name in found if name.endswith("bias")]


def test_switched_hooks_are_there_only_while_something_is_wanted():
    calls, model, switched = [], nn.Linear(2, 2), Switched()
    switched.add(model.register_forward_hook, Hook(lambda *_: calls.append(1)))
    counts = []
    for wanted in ((), ("losses",), ("losses",), ()):
        switched.turn(wanted)
        model(torch.zeros(1, 2))
        counts.append((len(calls), len(model._forward_hooks)))
    assert counts == [(0, 0), (1, 1), (2, 1), (2, 0)]

    switched.clear()
    switched.turn(("losses",))
    assert not model._forward_hooks
