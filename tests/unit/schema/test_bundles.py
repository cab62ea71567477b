import json
from pathlib import Path

import pytest

from stocktake.errors import DataError
from stocktake.schema import bundles
from stocktake.schema.bundles import Bundle


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / bundles.MODEL).write_bytes(b"a model")
    bundles.write(tmp_path, made(tmp_path))
    return tmp_path


def made(folder: Path, **change) -> Bundle:
    row = {
        "max_count": 5,
        "preprocessing": {"side_px": 32, "mean": [0.5] * 3, "std": [0.25] * 3},
        "calibration": {"temperature": 1.5, "coverage": 0.9, "threshold": 0.8},
        "backbone": "tiny",
        "head": {"name": "softmax"},
        "weights_source": "random",
        "model_sha256": bundles.hash_of(folder / bundles.MODEL),
    }
    return Bundle(**(row | change))


def edit(folder: Path, **change) -> None:
    path = folder / bundles.FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | change))


def test_what_is_written_is_read_back(folder: Path):
    assert bundles.read(folder) == made(folder)


def test_the_id_depends_on_everything_the_answer_depends_on(folder: Path):
    first = made(folder)

    assert made(folder).id == first.id and len(first.id) == 16
    assert made(folder, max_count=6).id != first.id
    assert made(folder, precision="int8").id != first.id
    assert made(folder, model_sha256="0" * 64).id != first.id
    assert made(folder, calibration=first.calibration | {"temperature": 2.0}).id != first.id


def test_a_changed_byte_in_the_model_is_refused(folder: Path):
    (folder / bundles.MODEL).write_bytes(b"a m0del")

    with pytest.raises(DataError, match="has hash .*copy the bundle again"):
        bundles.read(folder)


def test_a_changed_setting_is_refused(folder: Path):
    edit(folder, weights_source="the moon")

    with pytest.raises(DataError, match="changed after export"):
        bundles.read(folder)


def test_another_format_is_refused_with_both_names(folder: Path):
    edit(folder, format="bundle/9")

    with pytest.raises(DataError, match="'bundle/9', this version reads bundle/4"):
        bundles.read(folder)


@pytest.mark.parametrize("name", [bundles.FILE, bundles.MODEL])
def test_a_missing_file_is_named(folder: Path, name: str):
    (folder / name).unlink()

    with pytest.raises(DataError, match=f"it has no {name}"):
        bundles.read(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00\xff", '{"format": "bundle/4"}'])
def test_a_damaged_file_is_one_line(folder: Path, text: str):
    (folder / bundles.FILE).write_text(text)

    with pytest.raises(DataError) as caught:
        bundles.read(folder)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("field", ["preprocessing", "calibration"])
def test_a_part_that_lacks_a_field_is_refused(folder: Path, field: str):
    with pytest.raises(DataError, match=f"bundle's {field} lacks"):
        made(folder, **{field: {}})


def test_a_precision_we_do_not_know_is_refused(folder: Path):
    with pytest.raises(DataError, match="precision 'int4', expected float32 or int8"):
        made(folder, precision="int4")


def test_a_bundle_of_an_older_version_is_refused_with_what_to_do(folder: Path):
    edit(folder, format="bundle/3")

    with pytest.raises(DataError, match="this version reads bundle/4; export it again"):
        bundles.read(folder)
