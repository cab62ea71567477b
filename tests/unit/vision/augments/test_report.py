import torch

from stocktake.vision.augments import augments
from stocktake.vision.augments.report import flipped, relit


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def chance(photos: int, numbers: int = 16, seed: int = 1) -> torch.Tensor:
    return torch.rand(photos, numbers, generator=generator(seed))


def test_about_half_of_the_photos_are_mirrored_and_the_rest_untouched():
    photos = torch.rand(200, 3, 4, 6, generator=generator())
    made = flipped(photos.clone(), chance(200)[:, 0])
    same = [torch.equal(a, b) for a, b in zip(made, photos, strict=True)]
    mirrored = [torch.equal(a, b.flip(2)) for a, b in zip(made, photos, strict=True)]

    assert all(s != m for s, m in zip(same, mirrored, strict=True))
    assert 70 < sum(mirrored) < 130


def test_no_change_of_light_changes_nothing():
    photos = torch.rand(4, 3, 5, 5, generator=generator())

    assert torch.allclose(relit(photos.clone(), chance(4, 2), 0.0, 0.0), photos, atol=1e-6)


def test_brightness_scales_each_photo_by_its_own_factor():
    photos = torch.full((50, 3, 4, 4), 0.5)
    factors = relit(photos, chance(50, 2), 0.2, 0.0)[:, 0, 0, 0] / 0.5

    assert factors.min() >= 0.8 and factors.max() <= 1.2
    assert factors.std() > 0.05


def test_contrast_keeps_the_mean():
    photos = torch.rand(20, 3, 8, 8, generator=generator()) * 0.4 + 0.3
    made = relit(photos.clone(), chance(20, 2), 0.0, 0.5)

    assert torch.allclose(made.mean(dim=(1, 2, 3)), photos.mean(dim=(1, 2, 3)), atol=1e-4)
    assert not torch.allclose(made, photos, atol=1e-2)


def test_photos_of_a_batch_are_changed_differently():
    photo = torch.rand(1, 3, 8, 8, generator=generator()).repeat(6, 1, 1, 1)
    made = augments.make("report")(photo, chance(6))

    assert len({round(p.sum().item(), 3) for p in made}) > 3
