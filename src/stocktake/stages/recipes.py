"""Recipes: settings files that come with the package, named where a file would be."""

from importlib.resources import files
from pathlib import Path

from stocktake.errors import SettingsError, nearest


def names() -> list[str]:
    """Names of all recipes, sorted."""
    return sorted(path.stem for path in _folder().glob("*.toml"))


def file_of(named: Path) -> Path:
    """The settings file that somebody named: as it is, or of the recipe called so.

    Raises:
        SettingsError: if it is neither, though it looks like a recipe's name.
    """
    if named.exists() or named.suffix or named.parent != Path():
        return named
    found = _folder() / f"{named}.toml"
    if not found.is_file():
        raise SettingsError(
            f"there is neither a file nor a recipe '{named}'; {nearest(str(named), names())}"
        )
    return found


def about(name: str) -> str:
    """The recipe's first line, which says what it is for."""
    first = (_folder() / f"{name}.toml").read_text(encoding="utf-8").splitlines()[0]
    return first.lstrip("# ")


def _folder() -> Path:
    return Path(str(files("stocktake"))) / "recipes"
