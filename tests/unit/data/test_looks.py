import io

import numpy as np
import pytest
from PIL import Image, ImageFilter

from stocktake.data import looks
from stocktake.store.shards import PhotoShards, ShardWriter


def file_of(photo: Image.Image, kind: str = "PNG", **more: int) -> bytes:
    made = io.BytesIO()
    photo.save(made, kind, **more)
    return made.getvalue()


def look(photo: Image.Image, **more: int) -> looks.Look:
    return looks.look_at("1", file_of(photo), **({"pixels": 0, "seed": 0} | more))


def noise(size: tuple[int, int] = (300, 200)) -> Image.Image:
    rng = np.random.default_rng(3)
    return Image.fromarray(rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8))


def test_sharpness_is_the_variance_of_the_laplacian():
    luma = np.random.default_rng(0).integers(0, 256, (40, 50), dtype=np.uint8)
    deep = luma.astype(float)
    around = deep[:-2, 1:-1] + deep[2:, 1:-1] + deep[1:-1, :-2] + deep[1:-1, 2:]

    assert looks.sharpness(luma) == pytest.approx((around - 4 * deep[1:-1, 1:-1]).var(), rel=1e-4)
    assert looks.sharpness(np.full((9, 9), 77, np.uint8)) == 0
    assert looks.sharpness(luma[:2]) == 0


def test_a_blurred_photo_is_less_sharp_the_more_it_is_blurred():
    photo = noise()
    found = [look(photo.filter(ImageFilter.GaussianBlur(r))).sharpness for r in (0, 1, 3, 9)]

    assert found == sorted(found, reverse=True) and found[-1] < found[0] / 50


def test_exposure_is_mean_luma_and_what_is_clipped():
    photo = Image.new("RGB", (100, 100), (128, 128, 128))
    photo.paste((0, 0, 0), (0, 0, 100, 20))
    photo.paste((255, 255, 255), (0, 20, 100, 25))
    found = look(photo)

    assert (found.dark, found.bright) == (pytest.approx(0.20), pytest.approx(0.05))
    assert found.luma == pytest.approx((0.75 * 128 + 0.05 * 255) / 255, abs=1e-6)
    assert found.contrast == pytest.approx(np.asarray(photo.convert("L")).std() / 255, abs=1e-6)


@pytest.mark.parametrize(
    ("grey", "dark", "bright"), [(4, 1, 0), (5, 0, 0), (250, 0, 0), (251, 0, 1)]
)
def test_clipping_begins_where_it_is_said_to(grey, dark, bright):
    found = look(Image.new("RGB", (20, 20), (grey,) * 3))

    assert (found.dark, found.bright) == (dark, bright)


def test_large_photos_are_looked_at_small_and_small_ones_as_they_are():
    assert looks.shrunk(noise((900, 450))).size == (448, looks.SIDE_PX)
    assert looks.shrunk(noise((90, 45))).size == (90, 45)


def test_equal_pixels_have_equal_digests_whatever_the_file():
    photo = noise()
    other = photo.copy()
    other.putpixel((5, 5), (1, 2, 3))

    assert (
        look(photo).digest
        == looks.look_at("2", file_of(photo, compress_level=0), pixels=0, seed=0).digest
    )
    assert look(photo).digest != look(other).digest


def test_kept_pixels_are_of_the_photo_and_differ_from_id_to_id():
    photo = file_of(noise())
    one, same, other = (looks.look_at(i, photo, pixels=50, seed=1).pixels for i in ("1", "1", "2"))

    assert one.shape == (50, 3)
    assert (one == same).all() and not (one == other).all()
    assert look(noise(), pixels=50).without_pixels().pixels.shape == (0, 3)


@pytest.fixture
def shards(photo_row, tmp_path):
    with ShardWriter(tmp_path / "photos") as writer:
        for i in range(60):
            jpeg = file_of(Image.new("RGB", (40, 30), (4 * i,) * 3), "JPEG")
            if i in (7, 41):
                jpeg = jpeg[:-2]
            writer.add(photo_row(f"{i:05d}", 1, {}) | {"jpeg": jpeg})
    return PhotoShards.open(tmp_path / "photos")


@pytest.mark.parametrize("workers", [1, 3])
def test_all_photos_are_looked_at_in_order_and_bad_ones_are_named(shards, workers):
    found = list(looks.look_at_all(shards, {"00003": 5}, workers=workers, seed=0))
    unseen = [one for one in found if isinstance(one, looks.Unseen)]

    assert [one.photo_id for one in found] == shards.photo_ids
    assert [one.photo_id for one in unseen] == ["00007", "00041"]
    assert all("cut short" in one.error and one.size_bytes for one in unseen)
    assert [
        one.photo_id for one in found if not isinstance(one, looks.Unseen) and len(one.pixels)
    ] == ["00003"]


def test_photos_of_a_damaged_row_group_are_named_and_the_others_looked_at(photo_row, tmp_path):
    jpegs = [file_of(Image.new("RGB", (40, 30), (i,) * 3), "JPEG") for i in range(150)]
    with ShardWriter(tmp_path / "photos") as writer:
        for i, jpeg in enumerate(jpegs):
            writer.add(photo_row(f"{i:05d}", 1, {}) | {"jpeg": jpeg})
    path = tmp_path / "photos/part-00000.parquet"
    path.write_bytes(path.read_bytes().replace(jpegs[20], bytes(len(jpegs[20]))))
    shards = PhotoShards.open(tmp_path / "photos")
    found = list(looks.look_at_all(shards, {}, workers=2, seed=0))

    assert [one.photo_id for one in found] == shards.photo_ids
    assert [isinstance(one, looks.Unseen) for one in found] == [True] * 100 + [False] * 50
    assert "part-00000.parquet" in found[0].error and found[0].size_bytes is None


def test_a_look_that_is_not_wanted_any_more_stops_the_pass(shards):
    begun = looks.look_at_all(shards, {}, workers=2, seed=0)
    next(begun)
    begun.close()

    assert next(begun, None) is None
