import subprocess
import sys

import pytest
import torch

from stocktake.errors import SettingsError
from stocktake.vision.backbones import timm_models
from stocktake.vision.backbones.timm_models import timm_model


def test_a_model_says_its_own_size_and_normalisation():
    made = timm_model(side_px=0, model="test_vit")

    assert made.side_px == 160
    assert made.mean == (0.5, 0.5, 0.5)


def test_a_model_of_fixed_size_is_built_for_the_size_asked():
    made = timm_model(side_px=64, model="test_vit")

    assert made.module.eval()(torch.zeros(1, 3, 64, 64)).shape == (1, made.features)


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "test_convnext", "test_resnet"])
def test_the_width_said_is_the_width_given(name):
    made = timm_model(side_px=64, model=name)

    assert made.module.eval()(torch.zeros(1, 3, 64, 64)).shape == (1, made.features)
    assert made.module.state_dict().keys() >= {n for stage in made.stages for n in stage}


def test_drop_path_and_drop_rate_reach_the_model():
    made = timm_model(side_px=64, model="test_vit", drop_path=0.5, drop_rate=0.5)
    photos = torch.randn(4, 3, 64, 64)
    made.module.train()

    assert not torch.equal(made.module(photos), made.module(photos))


def test_a_model_without_drop_path_says_so():
    with pytest.raises(SettingsError, match="timm cannot build 'vgg11' for 64 px"):
        timm_model(side_px=64, model="vgg11", drop_path=0.5)


def test_an_unknown_model_is_refused():
    with pytest.raises(SettingsError, match="no timm model 'resnet5'; did you mean"):
        timm_model(side_px=0, model="resnet5")


def test_a_tag_of_weights_may_follow_the_name():
    assert timm_models.knows("resnet50.a1_in1k")
    assert not timm_models.knows("resnet5")


def test_weights_from_a_hub_fill_the_model(monkeypatch, tmp_path):
    torch.manual_seed(3)
    stored = timm_model(side_px=160, model="test_vit").module.state_dict()
    torch.save({**stored, "head.weight": torch.zeros(9, 64)}, tmp_path / "w.bin")
    asked = []

    def fetch(repository, *, backbone):
        asked.append(repository)
        return tmp_path / "w.bin"

    monkeypatch.setattr(timm_models, "fetch", fetch)
    torch.manual_seed(4)
    made = timm_model(side_px=64, model="test_vit")
    source = made.load_pretrained(made.module)

    assert asked == ["timm/test_vit.r160_in1k"]
    assert source == "hub timm/test_vit.r160_in1k"
    found = made.module.state_dict()
    key = "blocks.0.attn.qkv.weight"
    assert torch.equal(found[key], stored[key])
    assert found["pos_embed"].shape != stored["pos_embed"].shape, "fitted to the smaller photo"


def test_a_model_without_weights_on_the_hub_says_so():
    made = timm_model(side_px=64, model="test_mambaout")
    timm = timm_models.timm_library()
    bare = next(n for n in timm.list_models() if not _has_hub(timm, n))

    with pytest.raises(SettingsError, match="no pretrained weights on the hub"):
        timm_models._from_hub(made.module, model=bare)


def _has_hub(timm, name):
    config = timm.models.get_pretrained_cfg(name)
    return bool(config and config.hf_hub_id)


def test_the_shelf_does_not_import_timm_until_a_model_is_made():
    program = (
        "import sys; from stocktake.vision.backbones import backbones; backbones.names();"
        "print([m for m in ('timm', 'torchvision') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert done.stdout.strip() == "[]", done.stderr
