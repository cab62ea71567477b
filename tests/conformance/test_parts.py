"""Every part on every shelf of the vision room passes the shipped checks."""

import pytest
import torch

from stocktake.parts import Spec
from stocktake.testing import parts
from stocktake.vision.augments import augments
from stocktake.vision.backbones import backbones
from stocktake.vision.heads import heads
from stocktake.vision.losses import losses
from stocktake.vision.optimizers import optimizers
from stocktake.vision.schedules import schedules

torch.set_num_threads(1)

NEEDS_OPTIONS: dict[str, Spec] = {"timm": {"name": "timm", "model": "test_efficientnet"}}
"""Parts with an option that has no default."""
SLOW = ("tf_efficientnet_lite1", "tf_efficientnet_lite2")
"""The same code as lite0 with more blocks."""


def named(shelf: list[str]) -> list[object]:
    return [
        pytest.param(NEEDS_OPTIONS.get(n, n), id=n, marks=[pytest.mark.slow] if n in SLOW else [])
        for n in shelf
    ]


@pytest.mark.parametrize("spec", [*named(backbones.names()), "test_vit", "test_resnet"])
def test_every_backbone_keeps_its_contract(spec):
    parts.check_backbone(spec)


@pytest.mark.parametrize("spec", heads.names())
def test_every_head_keeps_its_contract(spec):
    parts.check_head(spec)
    parts.check_head(spec, max_count=1)


@pytest.mark.parametrize("spec", losses.names())
def test_every_loss_keeps_its_contract(spec):
    parts.check_loss(spec)


@pytest.mark.parametrize("spec", augments.names())
def test_every_augment_keeps_its_contract(spec):
    parts.check_augment(spec)


@pytest.mark.parametrize("spec", optimizers.names())
def test_every_optimizer_keeps_its_contract(spec):
    parts.check_optimizer(spec)


@pytest.mark.parametrize("spec", schedules.names())
def test_every_schedule_keeps_its_contract(spec):
    parts.check_schedule(spec)


@pytest.mark.parametrize("head", heads.names())
def test_every_head_exports_to_onnx(head, tmp_path):
    parts.check_exports("test_efficientnet", head, folder=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("backbone", [NEEDS_OPTIONS.get(n, n) for n in backbones.names()], ids=str)
def test_every_backbone_exports_to_onnx(backbone, tmp_path):
    parts.check_exports(backbone, "softmax", folder=tmp_path)
