import base64
import io

import pytest
from jinja2 import UndefinedError
from PIL import Image

from stocktake.pages import page


def encoded(kind: str = "JPEG", *, size=(400, 200), mode="RGB", **options) -> bytes:
    made = io.BytesIO()
    Image.new(mode, size).save(made, kind, **options)
    return made.getvalue()


def opened(uri: str) -> Image.Image:
    start = "data:image/jpeg;base64,"
    assert uri.startswith(start)
    return Image.open(io.BytesIO(base64.b64decode(uri.removeprefix(start))))


def test_what_fills_a_template_is_escaped():
    made = page.render("warnings.html", rows=[("train", "<script>alert(1)</script> & more")])

    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in made
    assert "<script" not in made


def test_our_own_drawings_are_not_escaped():
    assert page.safe("<svg></svg>").__html__() == "<svg></svg>"


def test_a_fact_that_is_missing_is_an_error_and_not_an_empty_place():
    with pytest.raises(UndefinedError, match="rows"):
        page.render("warnings.html")


def test_a_photo_is_shrunk_to_its_long_side_and_put_inside():
    assert opened(page.photo_uri(encoded(), side_px=100)).size == (100, 50)
    assert opened(page.photo_uri(encoded(size=(40, 30)), side_px=100)).size == (40, 30)


def test_a_file_gives_the_same_as_its_bytes(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(encoded())

    assert page.photo_uri(path) == page.photo_uri(encoded())


@pytest.mark.parametrize(("kind", "mode"), [("PNG", "RGBA"), ("PNG", "P"), ("WEBP", "RGB")])
def test_other_kinds_of_files_become_jpeg(kind, mode):
    assert opened(page.photo_uri(encoded(kind, mode=mode))).mode == "RGB"


def test_a_photo_stands_upright_as_its_camera_says():
    turned = Image.Exif()
    turned[0x0112] = 6  # orientation: to be turned a quarter

    assert opened(page.photo_uri(encoded(exif=turned), side_px=100)).size == (50, 100)


@pytest.mark.parametrize("photo", [b"", b"no photo", encoded()[:200], encoded("PNG")[:60]])
def test_a_photo_that_cannot_be_read_is_none(photo):
    assert page.photo_uri(photo) is None


def test_a_photo_that_is_not_there_is_none(tmp_path):
    assert page.photo_uri(tmp_path / "gone.jpg") is None
