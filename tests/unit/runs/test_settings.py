from dataclasses import dataclass, field
from typing import Any

import pytest

from stocktake.errors import SettingsError
from stocktake.parts import Part
from stocktake.runs import settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    test_frac: float = 0.15
    """Share of photos held out,
    0 to 1."""
    folds: list[str] = field(default_factory=lambda: ["test"])
    """Folds."""
    head: str | dict[str, Any] = "softmax"
    """A part."""

    def __post_init__(self) -> None:
        if not 0 < self.test_frac < 1:
            raise ValueError(f"test_frac must be between 0 and 1, got {self.test_frac}")


@dataclass(frozen=True, kw_only=True, slots=True)
class WithParts:
    loss: Part = "soft"
    """A loss."""
    optimizer: Part = field(default_factory=lambda: {"name": "adamw", "lr": 1.0, "decay": 0.1})
    """An optimizer."""
    space: str | dict[str, Any] = "report"
    """No part."""


@pytest.mark.parametrize(
    ("table", "loss", "optimizer"),
    [
        ({"loss": {"sigma": 2}}, {"name": "soft", "sigma": 2}, None),
        ({"optimizer": {"lr": 2.0}}, "soft", {"name": "adamw", "lr": 2.0, "decay": 0.1}),
        ({"optimizer": {"name": "sgd", "lr": 2.0}}, "soft", {"name": "sgd", "lr": 2.0}),
        ({"space": {"a": 1}}, "soft", None),
    ],
)
def test_options_without_a_name_go_to_the_default_part(table, loss, optimizer):
    made = settings.build(WithParts, table, where="train")

    assert made.loss == loss
    assert made.optimizer == (optimizer or WithParts().optimizer)
    assert made.space == table.get("space", "report")


def test_a_whole_number_is_a_fine_share_of_a_float():
    assert settings.build(Example, {"test_frac": 0.5}, where="split").test_frac == 0.5


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({"test_frac": 3.0}, "split.test_frac must be between 0 and 1, got 3.0"),
        ({"tset_frac": 0.1}, "split.tset_frac is not a setting; did you mean 'test_frac'?"),
        ({"test_frac": "much"}, "split.test_frac must be float, got 'much'"),
        ({"folds": [1]}, "split.folds[0] must be str, got [1]"),
    ],
)
def test_a_wrong_value_is_one_line_with_where_found_and_expected(table, text):
    with pytest.raises(SettingsError) as caught:
        settings.build(Example, table, where="split")

    assert str(caught.value) == text


def test_set_words_are_toml_or_bare_text():
    words = ["a.b=0.1", "a.c=[1, 2]", "a.d=resnet50", "a.e='x'", "name=n", "a.f=true"]

    read = settings.parse_set(words)

    assert read == {"a": {"b": 0.1, "c": [1, 2], "d": "resnet50", "e": "x", "f": True}, "name": "n"}


@pytest.mark.parametrize("word", ["a.b", "=1", "a..b=1"])
def test_a_set_word_without_key_or_value_is_refused(word):
    with pytest.raises(SettingsError, match="--set takes KEY=VALUE"):
        settings.parse_set([word])


def test_later_tables_win_key_by_key():
    below = {"train": {"epochs": 3, "optimizer": {"name": "adam", "lr": 0.1}}}

    assert settings.merge(below, {"train": {"optimizer": {"lr": 0.2}}}) == {
        "train": {"epochs": 3, "optimizer": {"name": "adam", "lr": 0.2}}
    }


def test_a_part_named_anew_takes_no_options_of_the_old_one():
    below = {"optimizer": {"name": "adam", "betas": [0.9, 0.99]}}

    assert settings.merge(below, {"optimizer": {"name": "sgd"}}) == {"optimizer": {"name": "sgd"}}


def test_an_option_set_on_a_bare_name_keeps_the_name():
    assert settings.merge({"optimizer": "adam"}, {"optimizer": {"lr": 0.2}}) == {
        "optimizer": {"name": "adam", "lr": 0.2}
    }


def test_a_missing_or_broken_file_is_one_line(tmp_path):
    broken = tmp_path / "broken.toml"
    broken.write_text("a = = 1")

    with pytest.raises(SettingsError, match="there is no settings file"):
        settings.read_file(tmp_path / "none.toml")
    with pytest.raises(SettingsError, match="not valid TOML"):
        settings.read_file(broken)


def test_the_sentence_under_a_field_is_read():
    assert settings.about(Example)["test_frac"] == "Share of photos held out, 0 to 1."
