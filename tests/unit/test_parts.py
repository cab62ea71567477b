import pytest

from stocktake.errors import SettingsError
from stocktake.parts import Shelf


@pytest.fixture
def shelf(tmp_path, monkeypatch) -> Shelf[str]:
    package = tmp_path / "jars"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "plum.py").write_text(
        "from shelves import shelf\n"
        "@shelf.add('plum')\n"
        "def plum(features: int, *, sugar: float = 0.5, label: str | None = None) -> str:\n"
        "    '''Plum jam.\n\n    More of it.'''\n"
        "    if sugar < 0: raise ValueError(f'sugar must be 0 or more, got {sugar}')\n"
        "    return f'plum {features} {sugar} {label}'\n"
    )
    (package / "_hidden.py").write_text("raise RuntimeError('never imported')\n")
    (tmp_path / "shelves.py").write_text(
        "from stocktake.parts import Shelf\nshelf = Shelf('jar', package='jars')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("jars", "jars.plum", "shelves"):
        monkeypatch.delitem(__import__("sys").modules, name, raising=False)
    return __import__("shelves").shelf


def test_a_part_is_found_by_the_first_question(shelf):
    assert shelf.names() == ["plum"]
    assert "plum" in shelf and "pear" not in shelf
    assert shelf.about("plum") == "Plum jam."


def test_a_part_is_made_by_name_or_with_options(shelf):
    assert shelf.make("plum", features=4) == "plum 4 0.5 None"
    assert shelf.make({"name": "plum", "sugar": 1}, features=4) == "plum 4 1 None"


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("plumm", "there is no jar 'plumm'; did you mean 'plum'?"),
        ({"name": "plum", "sugr": 1}, "jar 'plum' has no option 'sugr'; it takes: label, sugar"),
        ({"name": "plum", "features": 9}, "has no option 'features'"),
        ({"name": "plum", "sugar": "much"}, "option 'sugar' must be float, got 'much'"),
        ({"name": "plum", "sugar": -1}, "jar 'plum': sugar must be 0 or more, got -1"),
        ({"sugar": 1}, "jar needs a name"),
    ],
)
def test_a_wrong_part_is_one_line(shelf, spec, text):
    with pytest.raises(SettingsError) as caught:
        shelf.make(spec, features=4)

    assert text in str(caught.value)


def test_two_modules_cannot_share_a_name(shelf):
    shelf.names()

    def other() -> str:
        return ""

    with pytest.raises(SettingsError, match="twice"):
        shelf.add("plum")(other)
