import json
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from stocktake.errors import DataError, EngineError
from stocktake.runs.folder import RunFolder
from stocktake.schema import splits
from stocktake.stages.serve import ServeSettings, running, serve, spread_over_counts
from stocktake.store.shards import ShardWriter
from stocktake.store.tables import write_table

COUNTS = {f"{i:05d}": i % 6 for i in range(40)}


def begun(path: Path, stage: str) -> RunFolder:
    return RunFolder.begin(path, about={"stage": stage, "fingerprint": stage}, settings={})


def split_of(counts: dict[str, int], *, fold: str = "test") -> pa.Table:
    rows = [
        {"photo_id": name, "fold": fold if i % 2 else "train", "group": name, "count": count}
        for i, (name, count) in enumerate(counts.items())
    ]
    return pa.Table.from_pylist(rows)


@pytest.fixture
def way(tmp_path: Path, bundle_maker, photo_of) -> dict[str, RunFolder]:
    """Finished runs of ingest, split and export."""
    runs = {"photos": "ingest", "split": "split", "bundle": "export"}
    made = {name: begun(tmp_path / stage, stage) for name, stage in runs.items()}
    with ShardWriter(made["photos"].artifact("photos")) as shards:
        for name, count in COUNTS.items():
            photo = {"photo_id": name, "jpeg": photo_of(count), "width_px": 48, "height_px": 40}
            rest = {"count": count, "items": [], "source": f"{name}.jpg", "sha256": ""}
            shards.add(photo | rest)
    table = split_of(COUNTS)
    write_table(made["split"].artifact("split.parquet"), table, format=splits.FORMAT)
    bundle_maker(made["bundle"].artifact("bundle"))
    for run in made.values():
        run.close("done", result={})
    return made


def test_a_served_bundle_answers_test_photos_over_http(way, tmp_path):
    run = begun(tmp_path / "serve", "serve")

    result = serve(**way, settings=ServeSettings(check_photos=6, threads=1), run=run)

    answers = json.loads(run.artifact("answers.json").read_text())
    assert answers == result.answers and len(answers) == 6
    assert result.right == 6
    assert {COUNTS[a["photo_id"]] for a in answers} == {a["count"] for a in answers}
    assert all(a["low"] <= a["count"] <= a["high"] and a["ms"] > 0 for a in answers)
    assert sorted(p.stem for p in run.artifact("photos").iterdir()) == sorted(
        a["photo_id"] for a in answers
    )
    assert result.port > 0 and result.start_s > 0 and result.mean_ms > 0


def test_the_server_is_gone_after_the_check(way, tmp_path):
    command = [sys.executable, "-m", "stocktake", "serve"]
    command += [str(way["bundle"].artifact("bundle")), "--set", "serve.port=0"]

    with running(command, log=tmp_path / "log") as server:
        photo = next((tmp_path / "export").rglob("photo.jpg")).read_bytes()
        assert server.ask(photo)[0]["count"] == 2

    with pytest.raises(EngineError, match="gave no answer"):
        server.ask(photo)


def test_a_bundle_that_will_not_serve_is_an_error_with_the_servers_own_words(way, tmp_path):
    (way["bundle"].artifact("bundle") / "model.onnx").write_bytes(b"changed")
    run = begun(tmp_path / "serve", "serve")

    with pytest.raises(EngineError, match="ended with 3; its last lines.*has hash") as caught:
        serve(**way, settings=ServeSettings(), run=run)

    assert "\n" not in str(caught.value)


def test_a_refused_photo_is_an_error_that_names_the_log(way, tmp_path):
    run = begun(tmp_path / "serve", "serve")

    with pytest.raises(EngineError, match="answered 413 .* its log is"):
        serve(**way, settings=ServeSettings(max_body_mb=0.0001), run=run)


def test_a_server_that_fails_inside_the_block_is_stopped(tmp_path):
    code = "import time; print('listening on http://127.0.0.1:9', flush=True); time.sleep(60)"

    with (
        pytest.raises(EngineError, match="gave no answer to GET /ping"),
        running([sys.executable, "-c", code], log=tmp_path / "log"),
    ):
        pytest.fail("it was not healthy")


def test_the_photos_are_spread_over_the_counts_and_fixed_by_the_seed():
    table = split_of({f"{i:03d}": i // 20 for i in range(200)})

    first = spread_over_counts(table, photos=5, seed=1)

    assert first == spread_over_counts(table, photos=5, seed=1)
    assert first != spread_over_counts(table, photos=5, seed=2)
    assert len({count for _, count in first}) == 5
    assert all(int(name) % 2 == 1 for name, _ in first)  # the test fold only


def test_a_small_test_fold_is_sent_whole_and_an_empty_one_is_an_error():
    assert len(spread_over_counts(split_of({"a": 1, "b": 2}), photos=5, seed=0)) == 1
    with pytest.raises(DataError, match="no test photo"):
        spread_over_counts(split_of({"a": 1, "b": 2}, fold="val"), photos=5, seed=0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"port": 70000}, "port must be between 0 and 65535, got 70000"),
        ({"workers": -1}, "workers must be 0 or more"),
        ({"check_photos": 0}, "check_photos must be 1 or more"),
        ({"max_body_mb": 0}, "max_body_mb must be above 0"),
        ({"body_timeout_s": float("nan")}, "body_timeout_s must be above 0"),
    ],
)
def test_impossible_settings_are_refused(change, says):
    with pytest.raises(ValueError, match=says):
        ServeSettings(**change)
