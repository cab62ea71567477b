"""Faces: what is printed on a product, and the film, folds and shine of what it is packed in.

Each function gives a picture of one side, upright, as many pixels as asked for: RGB, or RGBA where
one sees through it.
"""

from collections.abc import Callable
from functools import lru_cache
from math import cos, pi
from random import Random

from PIL import Image, ImageChops, ImageDraw, ImageFont

from stocktake.bins import textures
from stocktake.bins.catalog import Colour, Product

Picture = Image.Image
WHITE = (244, 242, 236)
DARK = (44, 42, 44)
FILM = (176, 170, 158)
"""Clear film over what lies in the shade."""
WRAPPED = 0.35
"""Share of boxes and books in clear bags of their own."""


def face(product: Product, side: str, *, size: tuple[int, int], seed: int) -> Picture:
    """One side of a product, `size` pixels; RGB, and RGBA for bags, whose film is clear.

    Args:
        side: front, edge or end, as the item lies; top, right and the like for a box's other sides.
        seed: folds and shine, which differ among equal soft items.
    """
    own = seed if product.kind in ("polybag", "pouch", "mailer") else 0
    return _face(product, side, size, own)


@lru_cache(maxsize=256)
def _face(product: Product, side: str, size: tuple[int, int], seed: int) -> Picture:
    rng = Random(f"face {product.number} {side} {seed}")
    return PAINTERS[product.kind](rng, product, side, size)


def _box(rng: Random, product: Product, side: str, size: tuple[int, int]) -> Picture:
    ground, accent, ink = product.colours
    picture, brush = _plain(size, ground)
    width, height = size
    style = Random(f"style {product.number}")
    has_film = style.random() < WRAPPED
    if side in ("front", "wide"):
        if style.random() < 0.55:
            cut = round(height * style.uniform(0.15, 0.5))
            brush.rectangle((0, height - cut, width, height), fill=accent)
        if style.random() < 0.7:
            _panel(style, picture)
        for _ in range(style.randint(1, 3)):
            _title(style, picture, style.choice((product.brand, product.name[:14])), size, ink)
        for _ in range(style.randint(1, 3)):
            _block(style, brush, size, ink)
        if style.random() < 0.35:
            _barcode(style, brush, size)
    else:
        if rng.random() < 0.5:
            stripe = rng.uniform(0.1, 0.4)
            brush.rectangle((0, 0, width, height * stripe), fill=accent)
        if rng.random() < 0.3:
            _panel(rng, picture)
        _along(rng, picture, product.brand, ink)
        if rng.random() < 0.5:
            _barcode(rng, brush, size)
    if rng.random() < 0.35:
        _sticker(rng, brush, size)
    return _finished(rng, picture, product, film=has_film)


def _carton(rng: Random, product: Product, side: str, size: tuple[int, int]) -> Picture:
    ground = product.colours[0]
    picture, brush = _plain(size, ground)
    width, height = size
    tape = rng.uniform(0.35, 0.6)
    if rng.random() < 0.5:
        glossy = _shade(ground, 1.16)
        brush.rectangle((0, height * tape, width, height * (tape + 0.14)), fill=glossy)
        brush.line((0, height * (tape + 0.07), width, height * (tape + 0.07)), fill=(90, 70, 54))
    for _ in range(rng.choice((0, 1, 1, 2))):
        _title(rng, picture, product.brand, size, _shade(ground, 0.45))
    if rng.random() < 0.4:
        _block(rng, brush, size, _shade(ground, 0.5))
    if rng.random() < 0.6:
        _sticker(rng, brush, size)
    if rng.random() < 0.35:
        _barcode(rng, brush, size)
    return _finished(rng, picture, product, film=False)


def _book(rng: Random, product: Product, side: str, size: tuple[int, int]) -> Picture:
    ground, accent, ink = product.colours
    if side in ("top", "bottom", "left"):
        picture, brush = _plain(size, (226, 220, 204))
        along_x = size[0] > size[1]
        for n in range(2, size[1] if along_x else size[0], 3):
            ends = (0, n, size[0], n) if along_x else (n, 0, n, size[1])
            brush.line(ends, fill=(198, 190, 172))
        return _edged(picture, product)
    picture, brush = _plain(size, ground)
    has_film = Random(f"style {product.number}").random() < WRAPPED
    if side == "front":
        _panel(rng, picture)
        _title(rng, picture, product.brand, size, ink)
        _title(rng, picture, product.name.split(",")[0], size, ink)
        _small_print(rng, brush, (0.2, 0.78, 0.8, 0.9), size, ink)
        return _finished(rng, picture, product, film=has_film)
    width, height = size
    if rng.random() < 0.6:
        if height > width:
            brush.rectangle((0, height * 0.8, width, height * 0.9), fill=accent)
        else:
            brush.rectangle((width * 0.08, 0, width * 0.18, height), fill=accent)
    _along(rng, picture, f"{product.brand} {product.name.split(',')[0].split()[-1]}", ink)
    return _finished(rng, picture, product, film=has_film)


def _polybag(rng: Random, product: Product, side: str, size: tuple[int, int]) -> Picture:
    """A thing in a clear bag, RGBA: cloth or a print, under film that reaches beyond it."""
    ground, accent, ink = product.colours
    picture, brush = _plain(size, ground)
    width, height = size
    style = Random(f"style {product.number}")
    pattern = style.random()
    if pattern < 0.15:
        for n in range(0, width + height, max(6, width // 7)):
            brush.line((n, 0, n - height * 0.3, height), fill=accent, width=max(2, width // 16))
    elif pattern < 0.45:
        _panel(style, picture)
        _title(style, picture, product.brand, size, ink)
    elif pattern < 0.6:
        box = (width * 0.2, height * 0.2, width * 0.8, height * 0.8)
        brush.rectangle(box, fill=WHITE)
        _block(style, brush, size, DARK)
    textures.shaded(picture, _folds(rng, size, low=110), strength=1.0)
    if rng.random() < 0.6:
        _sticker(rng, ImageDraw.Draw(picture), size)
    wrap = textures.bubbles if style.random() < 0.2 else textures.creases
    picture = _under_film(rng, picture, wrap)
    clear = Image.new("L", size, style.randint(120, 190))
    margin = [style.uniform(0.0, 0.16) for _ in range(4)]
    inner = (margin[0] * width, margin[1] * height,
             width * (1 - margin[2]), height * (1 - margin[3]))  # fmt: skip
    ImageDraw.Draw(clear).rounded_rectangle(inner, min(size) / 12, fill=255)
    found = Image.composite(picture, Image.blend(picture, _flat(size, FILM), 0.75), clear)
    found.putalpha(clear)
    return found


def _pouch(rng: Random, product: Product, side: str, size: tuple[int, int]) -> Picture:
    ground, accent, ink = product.colours
    picture, brush = _plain(size, ground)
    width, height = size
    style = Random(f"style {product.number}")
    brush.rectangle((0, 0, width, height * 0.1), fill=_shade(ground, 0.8))
    if style.random() < 0.5:
        brush.ellipse((width * 0.18, height * 0.2, width * 0.82, height * 0.62), fill=accent)
    else:
        _panel(style, picture)
    _title(style, picture, product.brand, size, ink)
    _small_print(style, brush, (0.2, 0.68, 0.8, 0.92), size, ink)
    textures.shaded(picture, _folds(rng, size, low=150), strength=1.0)
    return _under_film(rng, picture, textures.creases)


def _mailer(rng: Random, product: Product, side: str, size: tuple[int, int]) -> Picture:
    picture, brush = _plain(size, product.colours[0])
    if rng.random() < 0.8:
        _sticker(rng, brush, size)
    style = Random(f"style {product.number}")
    if style.random() < 0.4:
        return _under_film(rng, picture, textures.bubbles)
    textures.shaded(picture, textures.dents(rng, size), strength=0.6)
    return picture


def _bottle(rng: Random, product: Product, side: str, size: tuple[int, int]) -> Picture:
    ground, accent, ink = product.colours
    width, height = size
    picture, brush = _plain(size, ground)
    cap = accent if rng.random() < 0.6 else WHITE
    brush.rectangle((0, 0, width, height * 0.19), fill=cap)
    band = (0, height * rng.uniform(0.32, 0.42), width, height * rng.uniform(0.8, 0.92))
    brush.rectangle(band, fill=WHITE if rng.random() < 0.5 else accent)
    word = _word(product.brand, max(8, min(28, width // 4)))
    picture.paste(DARK, ((width - word.width) // 2, round(height * 0.46)), word)
    _small_print(rng, brush, (0.25, 0.58, 0.75, 0.76), size, DARK)
    return ImageChops.multiply(picture, _round(size))


def _tin(rng: Random, product: Product, side: str, size: tuple[int, int]) -> Picture:
    ground, accent, ink = product.colours
    width, height = size
    picture, brush = _plain(size, ground)
    if side == "end":
        brush.ellipse((width * 0.08, height * 0.08, width * 0.92, height * 0.92), fill=accent)
        brush.ellipse((width * 0.14, height * 0.14, width * 0.86, height * 0.86), fill=ground)
        word = _word(product.brand, max(8, min(26, width // 5)))
        picture.paste(ink, ((width - word.width) // 2, (height - word.height) // 2), word)
        return picture
    brush.rectangle((0, height * 0.18, width, height * 0.82), fill=accent)
    _title(rng, picture, product.brand, size, ink)
    return ImageChops.multiply(picture, _round(size))


PAINTERS: dict[str, Callable[[Random, Product, str, tuple[int, int]], Picture]] = {
    "box": _box, "carton": _carton, "book": _book, "polybag": _polybag, "pouch": _pouch,
    "mailer": _mailer, "bottle": _bottle, "tin": _tin,
}  # fmt: skip


def _plain(size: tuple[int, int], colour: Colour) -> tuple[Picture, ImageDraw.ImageDraw]:
    picture = Image.new("RGB", size, colour)
    return picture, ImageDraw.Draw(picture)


def _shade(colour: Colour, by: float) -> Colour:
    r, g, b = (min(255, int(v * by)) for v in colour)
    return r, g, b


def _edged(picture: Picture, product: Product) -> Picture:
    """With the darker line around that tells one box from the next."""
    size = (0, 0, picture.width - 1, picture.height - 1)
    ImageDraw.Draw(picture).rectangle(size, outline=_shade(product.colours[0], 0.62))
    return picture


def _finished(rng: Random, picture: Picture, product: Product, *, film: bool) -> Picture:
    """A box's side as it is after a journey: a little dented, unevenly lit, perhaps wrapped."""
    textures.shaded(picture, textures.dents(rng, picture.size), strength=0.28)
    picture = _edged(picture, product)
    return _under_film(rng, picture, textures.creases) if film else picture


def _under_film(
    rng: Random, picture: Picture,
    wrap: Callable[[Random, tuple[int, int]], tuple[Picture, Picture]],
) -> Picture:  # fmt: skip
    """Under clear film: shaded by its creases, paler by its haze, white where it shines."""
    shade, shine = wrap(rng, picture.size)
    textures.shaded(picture, shade, strength=0.65)
    picture.paste(WHITE, (0, 0), shine.point(_hazy(rng.randrange(8, 61, 4), rng.randint(6, 10))))
    return picture


@lru_cache(maxsize=128)
def _hazy(haze: int, tenths: int) -> list[int]:
    """Shine to opacity: never less than the haze, never all of the shine."""
    return [min(255, haze + v * tenths // 10) for v in range(256)]


def _panel(rng: Random, picture: Picture) -> None:
    """A printed picture on a part of a face, or on most of it."""
    width, height = picture.size
    wide, high = round(width * rng.uniform(0.35, 1.0)), round(height * rng.uniform(0.3, 0.9))
    if wide < 2 or high < 2:
        return
    spot = (round((width - wide) * rng.random()), round((height - high) * rng.random()))
    picture.paste(textures.artwork(rng, (wide, high)), spot)


def _block(rng: Random, brush: ImageDraw.ImageDraw, size: tuple[int, int], ink: Colour) -> None:
    """A paragraph of small print somewhere."""
    left, top = rng.uniform(0.05, 0.6), rng.uniform(0.1, 0.8)
    box = (left, top, left + rng.uniform(0.2, 0.35), top + rng.uniform(0.08, 0.25))
    _small_print(rng, brush, box, size, ink)


@lru_cache(maxsize=64)
def _flat(size: tuple[int, int], colour: Colour) -> Picture:
    return Image.new("RGB", size, colour)


@lru_cache(maxsize=64)
def _font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size_px)


@lru_cache(maxsize=512)
def _word(text: str, size_px: int) -> Picture:
    """Text as a mask, L."""
    font = _font(size_px)
    left, top, right, bottom = (int(v) for v in font.getbbox(text))
    mask = Image.new("L", (max(1, right - left), max(1, bottom - top)))
    ImageDraw.Draw(mask).text((-left, -top), text, fill=255, font=font)
    return mask


def _title(rng: Random, picture: Picture, text: str, size: tuple[int, int], ink: Colour) -> None:
    """A word or two, narrow or wide, now and then from bottom to top."""
    letters = rng.uniform(0.5, 1.6) * size[0] / len(text)
    word = _word(text, max(7, min(64, 2 * round(letters / 2), size[1] // 3)))
    squeezed = (max(1, round(word.width * rng.choice((0.6, 0.8, 1.0, 1.0)))), word.height)
    if squeezed != word.size:
        word = word.resize(squeezed, Image.Resampling.BILINEAR)
    if rng.random() < 0.2:
        word = word.transpose(Image.Transpose.ROTATE_90)
    spot = (round((size[0] - word.width) * rng.random()), round(size[1] * rng.uniform(0.05, 0.6)))
    picture.paste(ink, spot, word)


def _along(rng: Random, picture: Picture, text: str, ink: Colour) -> None:
    """Text along the longer side, as on a spine."""
    long, short = max(picture.size), min(picture.size)
    letters = min(short * rng.uniform(0.45, 0.75), 1.7 * long / len(text))
    word = _word(text, max(6, min(64, 2 * round(letters / 2))))
    if picture.height > picture.width:
        word = word.transpose(Image.Transpose.ROTATE_270)
    along = rng.uniform(0.1, 0.7)
    spot = (
        round((picture.width - word.width) * (along if picture.width >= picture.height else 0.5)),
        round((picture.height - word.height) * (along if picture.height > picture.width else 0.5)),
    )
    picture.paste(ink, spot, word)


def _small_print(
    rng: Random, brush: ImageDraw.ImageDraw, box: tuple[float, ...], size: tuple[int, int],
    ink: Colour,
) -> None:  # fmt: skip
    """Lines of text too small to read."""
    left, top, right, bottom = (
        box[0] * size[0],
        box[1] * size[1],
        box[2] * size[0],
        box[3] * size[1],
    )
    step = max(4, size[1] // 26)
    y = top
    while y < bottom:
        x = left
        while x < right - 4:
            end = min(right, x + rng.uniform(2, 9))
            brush.line((x, y, end, y), fill=ink, width=max(1, step // 4))
            x = end + 2
        y += step


def _barcode(rng: Random, brush: ImageDraw.ImageDraw, size: tuple[int, int]) -> None:
    wide, high = min(size[0] * 0.5, 44), min(size[1] * 0.35, 26)
    x, y = rng.uniform(0.05, 0.9) * (size[0] - wide), rng.uniform(0.4, 0.9) * (size[1] - high)
    brush.rectangle((x, y, x + wide, y + high), fill=WHITE)
    place = x + 3
    while place < x + wide - 3:
        brush.line((place, y + 2, place, y + high * 0.75), fill=DARK, width=rng.choice((1, 1, 2)))
        place += rng.choice((2, 3, 4))


def _sticker(rng: Random, brush: ImageDraw.ImageDraw, size: tuple[int, int]) -> None:
    """The warehouse's own label: white, a barcode, a line or two, put on at any angle."""
    wide, high = min(size[0] * 0.6, 56), min(size[1] * 0.35, 26)
    x, y = rng.uniform(0.1, 0.9) * (size[0] - wide), rng.uniform(0.2, 0.8) * (size[1] - high)
    slant = rng.uniform(-0.3, 0.3) * high
    corners = [(x, y), (x + wide, y + slant), (x + wide, y + high + slant), (x, y + high)]
    brush.polygon(corners, fill=WHITE)
    place = 4.0
    while place < wide * 0.8:
        at = y + 3 + slant * place / wide
        brush.line((x + place, at, x + place, at + high * 0.35), fill=DARK)
        place += rng.choice((2, 2, 3, 4))
    for n in (0.65, 0.8):
        at = y + high * n
        brush.line((x + 4, at, x + wide * 0.7, at + slant * 0.7), fill=(120, 118, 116))


def _folds(rng: Random, size: tuple[int, int], *, low: int) -> Picture:
    """Soft light and shade of something crumpled, L."""
    cells = (rng.randint(4, 7), rng.randint(4, 7))
    small = Image.new("L", cells)
    small.putdata([rng.randint(low, 255) for _ in range(cells[0] * cells[1])])
    return small.resize(size, Image.Resampling.BICUBIC)


@lru_cache(maxsize=64)
def _round(size: tuple[int, int]) -> Picture:
    """The light on a cylinder, RGB to multiply with."""
    row = Image.new("L", (16, 1))
    row.putdata([round(255 * (0.42 + 0.58 * cos((n / 15 - 0.4) * pi * 0.8))) for n in range(16)])
    wide = row.resize(size, Image.Resampling.BICUBIC)
    return Image.merge("RGB", (wide, wide, wide))
