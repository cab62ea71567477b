"""The folder `smdebug` was written by smdebug 1.0.34; `expected.json` in it holds what its own
reader (create_trial) says of it."""

import json
import logging
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from stocktake.debugger import smdebug
from stocktake.debugger.errors import RecordError
from stocktake.debugger.files import Place

SAMPLE = Path(__file__).parent / "smdebug"


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(SAMPLE, tmp_path / "out"))


def frames(*messages):
    return b"".join(struct.pack("<Q", len(m)) + bytes(4) + m + bytes(4) for m in messages)


def test_every_tensor_is_what_smdebugs_own_reader_says_it_is():
    record = smdebug.read(SAMPLE)
    expected = json.loads((SAMPLE / "expected.json").read_text())

    for key, value in expected.items():
        mode, step, name = key.split(" ", 2)
        series = record.series(name, mode=mode.lower())
        row = series.rows[series.steps.index(int(step))]

        assert np.array_equal(np.ravel(row.values or row.value), np.ravel(value)), key
    assert len(expected) == 50


def test_tensors_are_in_the_collections_that_a_recorder_puts_them_in():
    record = smdebug.read(SAMPLE)

    assert record.names("weights") == ["Net_fc1.weight", "Net_fc2.weight"]
    assert set(record.names("gradients")) == {
        f"gradient/Net_fc{n}.{what}" for n in (1, 2) for what in ("weight", "bias")
    }
    assert record.names("losses") == ["CrossEntropyLoss_output_0"]
    assert record.names("activation_inputs") == ["relu_input_0"]
    assert record.names("relu_output") == record.names("activations") == ["relu_output_0"]
    assert record.kind("relu_output_0", "activations") == "ReLU"
    assert record.names("scalars") == ["scalar/lr"]
    assert record.steps("train") == [0, 2, 4]
    assert record.steps("eval") == [0, 2]


def test_whole_tensors_become_statistics_and_reduced_ones_keep_theirs():
    record = smdebug.read(SAMPLE)
    whole = np.array(record.series("Net_fc2.weight").rows[0].values)

    def of(statistic):
        return record.series("Net_fc2.weight", statistic).rows[0].value

    assert of("mean") == pytest.approx(whole.mean(), rel=1e-5)
    assert of("std") == pytest.approx(whole.std(), rel=1e-5)
    assert of("norm") == pytest.approx(np.linalg.norm(whole), rel=1e-5)
    assert of("abs_max") == pytest.approx(np.abs(whole).max(), rel=1e-5)
    assert record.series("relu_output_0", "zeros").rows[0].value == pytest.approx(
        np.mean(np.array(record.series("relu_output_0").rows[0].values) == 0)
    )


def test_it_reads_from_any_place_that_can_list_and_read():
    place = Place(
        address="bucket/debug-output",
        names=lambda: [p.relative_to(SAMPLE).as_posix() for p in SAMPLE.rglob("*")],
        read=lambda name: (SAMPLE / name).read_bytes(),
    )

    assert smdebug.is_smdebug(place)
    assert smdebug.read(place).steps("train") == [0, 2, 4]


@pytest.mark.parametrize("at", [5, 100, 2000])
def test_a_cut_event_file_is_named_in_one_line_and_left_out(folder, caplog, at):
    event = next(folder.glob("events/000000000002/*"))
    event.write_bytes(event.read_bytes()[:at])

    with caplog.at_level(logging.WARNING, "stocktake.debugger"):
        record = smdebug.read(folder)

    assert record.steps("train") == [0, 4]
    assert [line for line in caplog.messages if "000000000002_worker_0" in line and "cut" in line]
    assert all("\n" not in line for line in caplog.messages)


def test_other_damage_is_named_too(folder, caplog):
    next(folder.glob("events/000000000000/*")).unlink()
    next(folder.glob("index/*/000000000002*")).write_text('{"meta": {"mode": "DREAM"}}')
    next(folder.glob("collections/*/*")).write_text("[]")

    with caplog.at_level(logging.WARNING, "stocktake.debugger"):
        record = smdebug.read(folder)

    assert record.steps("train") == [4]
    assert len(caplog.messages) == 3


@pytest.mark.parametrize(
    "data",
    [
        frames(b"\x2a\x05\x0a"),
        frames(b"\x2a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        frames(b"\x28\x01"),
        frames(b"\x0b"),
        frames(b"\x08\x01\x2a\x01\x08"),
        frames(b"\x2a\x0a\x0a\x08\x42\x06\x08\x01\x22\x02ab"),
        b"\xff" * 40,
    ],
)
def test_bytes_that_are_no_event_are_a_clear_error(data):
    with pytest.raises(RecordError, match="cut|field|number|tensor"):
        list(smdebug.events(data))


def test_a_folder_of_something_else_says_what_was_expected(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")

    assert not smdebug.is_smdebug(tmp_path)
    with pytest.raises(RecordError, match="index"):
        smdebug.read(tmp_path)
