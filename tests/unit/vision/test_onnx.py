import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from stocktake.errors import DataError
from stocktake.schema.checkpoints import Checkpoint
from stocktake.testing.parts import check_exports
from stocktake.vision import onnx
from stocktake.vision.checkpoints import Keeper
from stocktake.vision.counter import make_backbone, make_counter, preprocessing_of


def test_the_file_says_what_the_checkpoint_says_for_any_batch(tmp_path, capfd):
    torch.manual_seed(0)
    backbone = make_backbone("test_efficientnet", side_px=32)
    counter = make_counter(backbone, "corn", max_count=4).eval()
    about = Checkpoint(
        epoch=1,
        step=1,
        backbone="test_efficientnet",
        head="corn",
        max_count=4,
        preprocessing=preprocessing_of(backbone).to_dict(),
        weights_source="random",
    )
    folder = Keeper(tmp_path / "c").save(counter, about, trainer={}, is_best=True)
    onnx.export_onnx(folder, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")

    for photos in (torch.randn(1, 3, 32, 32), torch.randn(5, 3, 32, 32)):
        (found,) = session.run(["log_probs"], {"photos": photos.numpy()})
        assert found.shape == (len(photos), 5)
        assert np.allclose(found, counter(photos).detach().numpy(), atol=1e-5)
    assert capfd.readouterr().out == ""
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c", "model.onnx"]


@pytest.mark.slow
def test_the_default_backbone_agrees_with_torch(tmp_path):
    file = check_exports("tf_efficientnet_lite0", "softmax", folder=tmp_path)

    assert onnxruntime.InferenceSession(file).get_inputs()[0].shape[1:] == [3, 64, 64]


def test_what_onnx_cannot_say_is_refused_and_leaves_no_file(tmp_path):
    class Strange(nn.Module):
        def forward(self, photos: torch.Tensor) -> torch.Tensor:
            return torch.linalg.eigvals(photos[:, 0]).abs()

    with pytest.raises(DataError, match="ONNX export failed"):
        onnx.export_module(Strange(), tmp_path / "model.onnx", side_px=8)
    assert list(tmp_path.iterdir()) == []
