import errno

import pytest

from stocktake import errors


def test_exit_codes_are_those_of_the_documentation():
    codes = {
        errors.StocktakeError: 1,
        errors.SettingsError: 2,
        errors.DataError: 3,
        errors.RunError: 4,
        errors.EngineError: 5,
    }

    assert {kind: kind.exit_code for kind in codes} == codes


def test_nearest_names_the_close_one_or_lists_all():
    assert errors.nearest("bacth_size", ["batch_size", "epochs"]) == "did you mean 'batch_size'?"
    assert errors.nearest("zzz", ["b", "a"]) == "known: a, b"


@pytest.mark.parametrize(
    ("code", "word"),
    [(errno.ENOSPC, "disk is full"), (errno.EACCES, "may not"), (errno.EIO, "error")],
)
def test_a_failure_of_the_disk_is_one_line_with_the_file(code: int, word: str):
    text = str(errors.from_os(OSError(code, "an error", "a.parquet")))

    assert text.startswith("a.parquet: ") and word in text and "\n" not in text


def test_an_error_kept_in_a_run_comes_back_with_its_class():
    assert type(errors.by_name("DataError", "x")) is errors.DataError
    assert type(errors.by_name("Unheard", "x")) is errors.StocktakeError
