"""The shipped checks find what they are for: each refuses a part with that one fault."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from stocktake.testing import parts
from stocktake.vision.augments import augments
from stocktake.vision.backbones import Backbone, backbones
from stocktake.vision.heads import heads
from stocktake.vision.losses import losses
from stocktake.vision.optimizers import optimizers
from stocktake.vision.schedules import schedules

torch.set_num_threads(1)


@pytest.fixture
def put(monkeypatch: pytest.MonkeyPatch) -> Callable[[object, object], str]:
    """Puts a part on a shelf for one test; gives its name."""

    def put_on(shelf, make) -> str:
        shelf.names()
        monkeypatch.setitem(shelf._parts, "sick", make)
        return "sick"

    return put_on


def backbone_of(module: nn.Module, *, features: int = 4, stages=()) -> Callable[..., Backbone]:
    def make(*, side_px: int) -> Backbone:
        for layer in module.modules():
            if hasattr(layer, "reset_parameters"):
                layer.reset_parameters()
        return Backbone(
            module=module,
            features=features,
            side_px=side_px,
            mean=(0, 0, 0),
            std=(1, 1, 1),
            stages=stages,
        )

    return make


def pooled(*more: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), *more, nn.AdaptiveAvgPool2d(1), nn.Flatten())


class Tethered(nn.Sequential):
    def forward(self, photos: torch.Tensor) -> torch.Tensor:
        return super().forward(photos) - photos.mean()


class Deaf(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused = pooled(), nn.Linear(1, 1)

    def forward(self, photos: torch.Tensor) -> torch.Tensor:
        return self.used(photos)


def test_a_sound_backbone_passes(put):
    parts.check_backbone(put(backbones, backbone_of(pooled())))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (backbone_of(pooled(), features=5), "expected .3, 5."),
        (backbone_of(Tethered(*pooled())), "depend on others"),
        (backbone_of(Deaf()), "no gradient reaches unused"),
        (backbone_of(pooled(), stages=(("7.weight",),)), "not a parameter"),
    ],
)
def test_a_sick_backbone_is_found(put, make, said):
    with pytest.raises(AssertionError, match=said):
        parts.check_backbone(put(backbones, make))


class Head(nn.Module):
    def __init__(self, features: int, outputs: int, finish: Callable) -> None:
        super().__init__()
        self.line, self.finish = nn.Linear(features, outputs), finish

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.finish(self.line(features))


def stuck(logits: torch.Tensor) -> torch.Tensor:
    held = torch.cat([logits[:, :1] * 0 - 50, logits[:, 1:]], dim=1)
    return torch.log_softmax(held.clamp(-50, 50), dim=1)


@pytest.mark.parametrize(
    ("finish", "more", "said"),
    [
        (lambda logits: logits, 1, "rows sum to"),
        (lambda logits: torch.log(torch.softmax(logits, dim=1)), 1, "not finite"),
        (lambda logits: torch.log_softmax(logits, dim=1), 2, "expected .7, 6."),
        (lambda logits: torch.log_softmax(logits.detach(), dim=1), 1, "does not require grad"),
        (stuck, 1, "cannot learn to say 0"),
    ],
)
def test_a_sick_head_is_found(put, finish, more, said):
    def make(*, features: int, max_count: int) -> nn.Module:
        return Head(features, max_count + more, finish)

    with pytest.raises((AssertionError, RuntimeError), match=said):
        parts.check_head(put(heads, make))


def true_of(log_probs: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    return log_probs.gather(1, counts[:, None])[:, 0]


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (lambda p, c: -true_of(p, c), "expected a scalar"),
        (lambda p, c: -true_of(p, c).sum(), "not a mean"),
        (lambda p, c: true_of(p, c).mean(), "right is not lowest"),
        (lambda p, c: (1 / true_of(p, c).exp()).mean(), "not finite"),
        (lambda p, c: -true_of(p.detach().requires_grad_(), c).mean(), None),
    ],
)
def test_a_sick_loss_is_found(put, loss, said):
    with pytest.raises(AssertionError, match=said):
        parts.check_loss(put(losses, lambda: loss))


@pytest.mark.parametrize(
    ("augment", "said"),
    [
        (lambda p, c: p[:, :, 1:], "shape"),
        (lambda p, c: p * 2, "leave the scale"),
        (lambda p, c: p * torch.rand(1), "other outcome alone"),
        (lambda p, c: p * c[0, 0], "other outcome alone"),
        (lambda p, c: p / p.max(), "other outcome alone"),
        (lambda p, c: p.double(), "instead of float32"),
    ],
)
def test_a_sick_augment_is_found(put, augment, said):
    with pytest.raises(AssertionError, match=said):
        parts.check_augment(put(augments, lambda: augment))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda *, groups: torch.optim.SGD(groups, lr=-0.0), "did not go down"),
        (lambda *, groups: torch.optim.SGD(groups[0]["params"], lr=0.1), "lr_scale"),
    ],
)
def test_a_sick_optimizer_is_found(put, make, said):
    with pytest.raises((AssertionError, KeyError), match=said):
        parts.check_optimizer(put(optimizers, make))


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        (lambda step, steps: 1 + step, "beyond 0 to 1"),
        (lambda step, steps: 0.0, "none has a rate"),
        (lambda step, steps: float(torch.rand(1)) / 2 + 0.5, "not pure"),
    ],
)
def test_a_sick_schedule_is_found(put, schedule, said):
    with pytest.raises(AssertionError, match=said):
        parts.check_schedule(put(schedules, lambda: schedule))
