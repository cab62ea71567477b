import copy

import pytest
import torch
from torch import nn

from stocktake.vision import norms
from stocktake.vision.counter import make_backbone, make_counter

PHOTOS = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def unlike(module: nn.Module) -> nn.Module:
    """The module with statistics as training leaves them: none of them 0 or 1."""
    torch.manual_seed(0)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for value in (part.running_mean, part.weight, part.bias):
                value.data.uniform_(-0.5, 0.5)
            part.running_var.uniform_(0.5, 2)
            part.weight.data.add_(1)
    return module


def folded(module: nn.Module) -> int:
    return sum("forward" in vars(part) for part in module.modules())


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "resnet18", "mobilenetv3_small_050"])
def test_features_and_gradients_are_those_of_norms_with_kept_statistics(name):
    plain = unlike(make_backbone(name, side_px=64).module).eval()
    kept = copy.deepcopy(plain)
    found = norms.kept(kept)

    assert len(found) == folded(kept) / 2 > 0
    assert not any(norm.training for norm in found)
    made = [module(PHOTOS) for module in (plain, kept)]
    assert torch.allclose(*made, atol=1e-4, rtol=1e-3)
    for features in made:
        features.square().sum().backward()
    for (key, one), other in zip(plain.named_parameters(), kept.parameters(), strict=True):
        assert one.grad is not None and other.grad is not None, key
        assert (one.grad - other.grad).norm() <= 1e-3 * one.grad.norm() + 1e-5, key


def test_the_state_keeps_its_names():
    plain = make_backbone("resnet18", side_px=64).module
    kept = copy.deepcopy(plain)
    norms.kept(kept)

    assert list(kept.state_dict()) == list(plain.state_dict())


def test_a_norm_that_no_convolution_feeds_is_left_alone():
    class Odd(nn.Module):
        """Order says the norm follows the convolution; the flow says otherwise."""

        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(self.norm(x).relu()).mean(dim=(2, 3))

    module = unlike(Odd()).eval()
    before = module(PHOTOS)
    found = norms.kept(module)

    assert len(found) == 1 and folded(module) == 0
    assert torch.equal(module(PHOTOS), before)


def test_a_counter_that_trains_keeps_the_statistics():
    backbone = make_backbone("resnet18", side_px=64)
    counter = make_counter(backbone, "softmax", max_count=3)
    counter.keep_norms()
    counter.train()
    before = {k: v.clone() for k, v in counter.state_dict().items() if "running" in k}
    counter(PHOTOS)

    state = counter.state_dict()
    assert before and all(torch.equal(state[key], before[key]) for key in before)


def test_an_answer_does_not_hang_on_the_rest_of_the_batch():
    counter = make_counter(make_backbone("resnet18", side_px=64), "softmax", max_count=3)
    counter.keep_norms()
    counter.train()

    assert torch.allclose(counter(PHOTOS)[:1], counter(PHOTOS[:1]), atol=1e-5)


def test_adapted_statistics_are_those_of_the_photos():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5))
    batches = [torch.rand(8, 3, 16, 16) * 2 + i for i in range(3)]
    norms.adapt(module, batches)
    maps = torch.stack([module[0](batch) for batch in batches])  # (3, 8, 4, 14, 14)

    assert torch.allclose(module[1].running_mean, maps.mean(dim=(0, 1, 3, 4)), atol=1e-5)
    wanted = torch.stack([m.transpose(0, 1).flatten(1).var(dim=1) for m in maps]).mean(dim=0)
    assert torch.allclose(module[1].running_var, wanted, rtol=1e-4)
    assert module.training and module[1].momentum == 0.1
