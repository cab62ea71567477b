import numpy as np
import torch
from torch import nn

from stocktake.vision.counter import Counter, Ensemble, make_backbone, make_counter
from stocktake.vision.heatmaps import heatmaps


class Bright(nn.Module):
    """Sees where a photo is bright, in cells of 4 px."""

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.AvgPool2d(4)
        self.act = nn.ReLU()

    def forward(self, photos: torch.Tensor) -> torch.Tensor:
        return self.act(self.cells(photos)).mean(dim=(2, 3))  # (B, 3)


def seeing(sign: float) -> Counter:
    """Count 1 is likely where red is bright (sign 1), or where it is not (sign -1)."""
    head = nn.Sequential(nn.Linear(3, 2), nn.LogSoftmax(dim=1))
    with torch.no_grad():
        head[0].weight.copy_(torch.tensor([[0.0, 0.0, 0.0], [sign, 0.0, 0.0]]))
        head[0].bias.zero_()
    return Counter(Bright(), head, max_count=1).eval()


def spotted(*cells: tuple[int, int]) -> torch.Tensor:
    photos = torch.zeros(len(cells), 3, 32, 32)
    for photo, (row, column) in zip(photos, cells, strict=True):
        photo[0, row * 4 : row * 4 + 4, column * 4 : column * 4 + 4] = 5
    return photos


def test_the_heat_lies_where_the_answer_comes_from():
    cells = [(1, 2), (7, 0), (4, 4)]
    found = heatmaps(seeing(1.0), spotted(*cells), torch.ones(3, dtype=torch.int64))

    assert found is not None and found.shape == (3, 8, 8) and found.dtype == np.float32
    for one, cell in zip(found, cells, strict=True):
        assert one[cell] == 1 and one.sum() == 1


def test_what_speaks_against_a_count_is_not_hot():
    found = heatmaps(seeing(-1.0), spotted((1, 2)), torch.ones(1, dtype=torch.int64))
    assert found is not None and found.max() == 0
    other = heatmaps(seeing(-1.0), spotted((1, 2)), torch.zeros(1, dtype=torch.int64))
    assert other is not None and other[0][1, 2] == 1


def test_a_map_does_not_hang_on_the_rest_of_the_batch():
    counter = make_counter(make_backbone("resnet18", side_px=64), "softmax", max_count=3).eval()
    photos = torch.rand(4, 3, 64, 64)
    counts = torch.tensor([0, 1, 2, 3])
    whole = heatmaps(counter, photos, counts)
    alone = heatmaps(counter, photos[2:3], counts[2:3])

    assert whole is not None and alone is not None
    assert whole.shape == (4, 2, 2)
    assert np.allclose(whole[2], alone[0], atol=1e-4)
    assert all(p.grad is None for p in counter.parameters())


def test_of_several_counters_the_maps_are_averaged():
    both = Ensemble([seeing(1.0), seeing(1.0)]).eval()
    found = heatmaps(both, spotted((3, 3)), torch.ones(1, dtype=torch.int64))

    assert found is not None and found[0][3, 3] == 1


def test_a_backbone_without_places_has_no_map():
    class Flat(nn.Module):
        def forward(self, photos: torch.Tensor) -> torch.Tensor:
            return photos.mean(dim=(2, 3))

    counter = Counter(Flat(), nn.Linear(3, 2), max_count=1)

    assert heatmaps(counter, torch.rand(2, 3, 8, 8), torch.zeros(2, dtype=torch.int64)) is None
    tokens = make_counter(make_backbone("test_vit", side_px=32), "softmax", max_count=3).eval()
    assert heatmaps(tokens, torch.rand(2, 3, 32, 32), torch.zeros(2, dtype=torch.int64)) is None
