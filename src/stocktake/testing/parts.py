"""Checks that every part of a shelf must pass: call them on yours from your own tests.

Each takes the part as settings name it (a name, or a table with name and options) and raises
AssertionError with a sentence. Small photos and few counts: a check takes about a second.
"""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from stocktake.parts import Spec
from stocktake.vision.augments import augments
from stocktake.vision.counter import Counter, make_backbone
from stocktake.vision.heads import heads
from stocktake.vision.losses import losses
from stocktake.vision.onnx import export_module
from stocktake.vision.optimizers import optimizers
from stocktake.vision.order import DRAWS
from stocktake.vision.schedules import schedules

MAX_COUNT = 5
FEATURES = 16

T = TypeVar("T")


def check_backbone(spec: Spec, *, side_px: int = 64) -> None:
    """Shapes, gradients to every parameter, same seed same result, photos independent."""
    made = _seeded(lambda: make_backbone(spec, side_px=side_px))
    again = _seeded(lambda: make_backbone(spec, side_px=side_px))
    assert made.side_px == side_px, f"asked for {side_px} px, it wants {made.side_px}"
    photos = torch.randn(3, 3, side_px, side_px, generator=torch.Generator().manual_seed(1))

    features = made.module.eval()(photos)
    wanted = (3, made.features)
    assert features.shape == wanted, f"features are {tuple(features.shape)}, expected {wanted}"
    assert torch.isfinite(features).all(), "features are not finite"
    assert torch.equal(features, again.module.eval()(photos)), "same seed, other features"
    alone = made.module(photos[1:2])
    assert torch.allclose(alone, features[1:2], atol=1e-4), "a photo's features depend on others"

    made.module.train()(photos).square().sum().backward()
    dry = [name for name, p in made.module.named_parameters() if p.grad is None]
    assert not dry, f"no gradient reaches {dry[0]} ({len(dry)} such parameters)"
    known = dict(made.module.named_parameters())
    strange = [name for stage in made.stages for name in stage if name not in known]
    assert not strange, f"stages name '{strange[0]}', which is not a parameter"


def check_head(spec: Spec, *, max_count: int = MAX_COUNT) -> None:
    """Rows are logs of distributions, finite always; every count can be learnt; seeded."""
    head = _seeded(lambda: heads.make(spec, features=FEATURES, max_count=max_count))
    again = _seeded(lambda: heads.make(spec, features=FEATURES, max_count=max_count))
    usual = torch.randn(7, FEATURES, generator=torch.Generator().manual_seed(1))
    for features in (usual, usual * 1e4, torch.zeros_like(usual)):
        log_probs = head(features)
        wanted = (7, max_count + 1)
        shape = tuple(log_probs.shape)
        assert shape == wanted, f"log_probs are {shape}, expected {wanted}"
        assert torch.isfinite(log_probs).all(), "log_probs are not finite"
        sums = log_probs.exp().sum(dim=1)
        assert torch.allclose(sums, torch.ones(7), atol=1e-4), f"rows sum to {sums.tolist()}"
    assert torch.equal(head(usual), again(usual)), "same seed, other log_probs"

    head(usual)[:, 1].sum().backward()
    dry = [name for name, p in head.named_parameters() if p.grad is None]
    assert not dry, f"no gradient reaches {dry[0]}"
    _check_learns(head, usual, max_count)


def check_loss(spec: Spec, *, max_count: int = MAX_COUNT) -> None:
    """Finite, lower for the right count, pushes the true count up, a mean over the batch."""
    loss = losses.make(spec)
    counts = torch.arange(max_count + 1)
    right = torch.log_softmax(2.0 * torch.eye(max_count + 1), dim=1)
    wrong = right.roll(2, dims=1)
    even = torch.log_softmax(torch.zeros(max_count + 1, max_count + 1), dim=1)

    value = loss(even, counts)
    assert value.shape == (), f"the loss has shape {tuple(value.shape)}, expected a scalar"
    extreme = torch.log_softmax(1e4 * torch.eye(max_count + 1).roll(1, dims=1), dim=1)
    assert torch.isfinite(loss(extreme, counts)), "not finite where the truth was held impossible"
    assert loss(right, counts) < loss(even, counts) < loss(wrong, counts), "right is not lowest"
    twice = loss(torch.cat([even, wrong]), torch.cat([counts, counts]))
    mean = (loss(even, counts) + loss(wrong, counts)) / 2
    assert torch.allclose(twice, mean), "not a mean over the batch"

    logits = torch.zeros(1, max_count + 1, requires_grad=True)
    loss(torch.log_softmax(logits, dim=1), torch.tensor([2])).backward()
    assert logits.grad is not None
    assert logits.grad[0, 2] < 0, "a step down the gradient lowers the true count's probability"


def check_augment(spec: Spec) -> None:
    """Shape and scale kept; all chance from the numbers handed in, each photo from its own."""
    augment = augments.make(spec)
    generator = torch.Generator().manual_seed(1)
    photos = torch.rand(5, 3, 24, 24, generator=generator)
    chance = torch.rand(5, DRAWS, generator=generator)
    first = augment(photos.clone(), chance)
    torch.rand(3)  # moves the global generator, which must not matter
    alone = [augment(photos[i : i + 1].clone(), chance[i : i + 1]) for i in range(5)]

    assert first.shape == photos.shape, f"shape {tuple(first.shape)} instead of {photos.shape}"
    assert first.dtype == torch.float32, f"{first.dtype} instead of float32"
    assert first.min() >= 0 and first.max() <= 1, "photos leave the scale 0 to 1"
    for change in range(5):
        assert torch.allclose(first[change], alone[change][0], atol=1e-6), (
            "same photo and numbers, other outcome alone than in a batch"
        )


def check_optimizer(spec: Spec) -> None:
    """Goes downhill, keeps what the house writes into its groups."""
    weight = nn.Parameter(torch.tensor([2.0]))
    groups = [{"params": [weight], "lr_scale": 0.5, "weight_decay": 0.0}]
    optimizer = optimizers.make(spec, groups=groups)
    group = optimizer.param_groups[0]
    assert group["lr_scale"] == 0.5 and group["weight_decay"] == 0.0, (
        "a group's own values are lost"
    )
    for _ in range(5):
        optimizer.zero_grad()
        weight.square().sum().backward()
        optimizer.step()
    assert weight.item() < 2.0, "five steps on a bowl did not go down"


def check_schedule(spec: Spec) -> None:
    """A factor 0 to 1 for every step of short and long runs, and never 0 throughout."""
    schedule = schedules.make(spec)
    for steps in (1, 2, 7, 500):
        factors = [schedule(step, steps) for step in range(steps)]
        assert all(0 <= f <= 1 for f in factors), f"a factor of {steps} steps is beyond 0 to 1"
        assert max(factors) > 0.1, f"of {steps} steps none has a rate worth the name"
        assert factors == [schedule(step, steps) for step in range(steps)], "not pure"


def check_exports(backbone: Spec, head: Spec, *, folder: Path, side_px: int = 64) -> Path:
    """The ONNX file of these two parts: it is whole, and any number of photos may go in at once."""
    import onnx

    made = _seeded(lambda: make_backbone(backbone, side_px=side_px))
    top = _seeded(lambda: heads.make(head, features=made.features, max_count=MAX_COUNT))
    file = folder / "model.onnx"
    export_module(Counter(made.module, top), file, side_px=side_px)
    model = onnx.load(file)
    onnx.checker.check_model(model)
    names = [model.graph.input[0].name, model.graph.output[0].name]
    assert names == ["photos", "log_probs"], f"its input and output are {names}"
    first = model.graph.input[0].type.tensor_type.shape.dim[0]
    assert first.dim_param, f"the batch size is fixed at {first.dim_value}"
    return file


def _check_learns(head: nn.Module, features: torch.Tensor, max_count: int) -> None:
    """Every count can become the likeliest one.

    A small lead over the others is taught, not the likelihood: where that of a 1 is greatest, a
    Poisson distribution holds a 0 for as likely.
    """
    for count in range(max_count + 1):
        others = [other for other in range(max_count + 1) if other != count]
        pupil = copy.deepcopy(head)
        optimizer = torch.optim.Adam(pupil.parameters(), lr=0.05)
        for _ in range(150):
            optimizer.zero_grad()
            log_probs = pupil(features)
            lead = log_probs[:, count] - log_probs[:, others].amax(dim=1)
            (0.05 - lead).clamp(min=0).mean().backward()
            optimizer.step()
        said = pupil(features).argmax(dim=1)
        assert (said == count).all(), f"it cannot learn to say {count}"


def _seeded(make: Callable[[], T]) -> T:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make()
