import torch

from stocktake.vision.augments import augments
from stocktake.vision.augments.standard import moves

STILL = {"rotate_deg": 0.0, "shift": 0.0, "scale": 0.0, "brightness": 0.0, "contrast": 0.0}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def chance(photos: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(photos, 16, generator=generator(seed))


def test_with_all_else_off_photos_are_flipped_in_all_four_ways():
    photos = torch.rand(64, 3, 16, 16, generator=generator())
    made = augments.make({"name": "standard", **STILL})(photos.clone(), chance(64))
    ways = [(), (1,), (2,), (1, 2)]
    found = [
        next(w for w in ways if torch.allclose(new, old.flip(w) if w else old, atol=1e-3))
        for new, old in zip(made, photos, strict=True)
    ]

    assert set(found) == set(ways)


def test_mild_moves_keep_a_centred_item_in_the_photo():
    photos = torch.zeros(32, 3, 64, 64)
    photos[:, :, 24:40, 24:40] = 1.0
    still = {**STILL, "rotate_deg": 5.0, "shift": 0.04, "scale": 0.06}
    made = augments.make({"name": "standard", **still})(photos.clone(), chance(32))

    areas = made.mean(dim=1).sum(dim=(1, 2)) / 256
    assert areas.min() > 0.8 and areas.max() < 1.2
    assert areas.std() > 0.01


def test_a_move_turns_scales_and_mirrors_but_never_shears():
    draws = torch.rand(6, 50, generator=generator(2)) * 2 - 1
    made = moves(draws, (0.3, 0.1, 0.1, 0.06))[:, :, :2]  # (50, 2, 2)
    squared = made @ made.transpose(1, 2)
    sizes = (1 + 0.06 * draws[3]) ** 2

    assert torch.allclose(squared, torch.eye(2) * sizes[:, None, None], atol=1e-5)


def test_rotation_keeps_right_angles():
    photos = torch.zeros(8, 3, 65, 65)
    photos[:, :, 32, :] = 1.0
    photos[:, :, :, 32] = 1.0  # a cross stays a cross
    still = {**STILL, "rotate_deg": 20.0}
    made = augments.make({"name": "standard", **still})(photos.clone(), chance(8, seed=3)).mean(
        dim=1
    )
    across, down = made[:, 32, :].sum(dim=1), made[:, :, 32].sum(dim=1)

    assert torch.allclose(across, down, rtol=0.1)
