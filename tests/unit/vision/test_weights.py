import pytest
import torch
from safetensors.torch import save_file

from stocktake.errors import DataError, SettingsError
from stocktake.vision import weights
from stocktake.vision.backbones import Backbone
from stocktake.vision.counter import make_backbone

NAME = "test_efficientnet"


@pytest.fixture
def backbone() -> Backbone:
    torch.manual_seed(0)
    return make_backbone(NAME, side_px=32)


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return dict(make_backbone(NAME, side_px=32).module.state_dict())


def is_filled(backbone: Backbone, state: dict[str, torch.Tensor]) -> bool:
    found = backbone.module.state_dict()
    return all(torch.equal(found[key], value) for key, value in state.items())


def test_none_leaves_the_random_weights(backbone):
    before = {k: v.clone() for k, v in backbone.module.state_dict().items()}

    assert weights.fill(backbone, "none") == "random"
    assert is_filled(backbone, before)


def test_a_safetensors_file_fills_the_backbone(backbone, state, tmp_path):
    file = tmp_path / "w.safetensors"
    save_file(state, file)

    assert weights.fill(backbone, str(file)) == f"file {file}"
    assert is_filled(backbone, state)


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module.", "backbone."])
def test_a_torch_checkpoint_fills_the_backbone(backbone, state, tmp_path, wrapper, prefix):
    inner = {f"{prefix}{key}": value for key, value in state.items()}
    torch.save({wrapper: inner, "epoch": 3} if wrapper else inner, tmp_path / "w.pth")
    weights.fill(backbone, str(tmp_path / "w.pth"))

    assert is_filled(backbone, state)


def test_a_classifier_in_the_file_is_left_out(backbone, state, tmp_path):
    whole = {**state, "classifier.weight": torch.zeros(10, 256), "classifier.bias": torch.zeros(10)}
    save_file(whole, tmp_path / "w.safetensors")
    weights.fill(backbone, str(tmp_path / "w.safetensors"))

    assert is_filled(backbone, state)


def test_our_own_checkpoints_head_is_left_out(backbone, state, tmp_path):
    ours = {f"backbone.{key}": value for key, value in state.items()}
    save_file({**ours, "head.logits.bias": torch.zeros(4)}, tmp_path / "weights.safetensors")
    weights.fill(backbone, str(tmp_path / "weights.safetensors"))

    assert is_filled(backbone, state)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.pop("conv_stem.weight"), "lacks 'conv_stem.weight';"),
        (lambda s: s.update(extra=torch.zeros(1)), "has the unknown key 'extra';"),
        (lambda s: s.update({"bn1.weight": torch.zeros(3)}), "'bn1.weight' as .3,. instead of"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_naming_the_key(
    backbone, state, tmp_path, change, said
):
    before = {k: v.clone() for k, v in backbone.module.state_dict().items()}
    change(state)
    save_file(state, tmp_path / "w.safetensors")

    with pytest.raises(DataError, match=f"does not fit the backbone: it .*{said}"):
        weights.fill(backbone, str(tmp_path / "w.safetensors"))
    assert is_filled(backbone, before), "a refused file must change nothing"


def test_a_missing_file_is_refused(backbone):
    with pytest.raises(SettingsError, match="there is no file pretraind"):
        weights.fill(backbone, "pretraind")


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 damaged", b"\x80\x05garbage"])
def test_a_damaged_file_is_refused(backbone, tmp_path, name, content):
    (tmp_path / name).write_bytes(content)

    with pytest.raises(DataError, match="cannot be read as weights"):
        weights.fill(backbone, str(tmp_path / name))


class Trap:
    def __reduce__(self):
        return (print, ("the trap went off",))


def test_a_checkpoint_with_code_in_it_is_refused_and_not_run(backbone, tmp_path, capsys):
    torch.save({"w": Trap()}, tmp_path / "w.pth")

    with pytest.raises(DataError, match="nothing but tensors"):
        weights.fill(backbone, str(tmp_path / "w.pth"))
    assert capsys.readouterr().out == ""


def test_a_file_without_tensors_is_refused(backbone, tmp_path):
    torch.save({"epoch": 3}, tmp_path / "w.pth")

    with pytest.raises(DataError, match="holds no tensors"):
        weights.fill(backbone, str(tmp_path / "w.pth"))


def test_a_backbone_without_pretrained_weights_says_the_choices():
    plain = Backbone(
        module=torch.nn.Flatten(), features=3, side_px=1, mean=(0, 0, 0), std=(1, 1, 1)
    )

    with pytest.raises(SettingsError, match='weights = "none" starts at random'):
        weights.fill(plain, "pretrained")
