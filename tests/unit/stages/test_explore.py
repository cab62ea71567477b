import io
import json

import pytest
from PIL import Image

from stocktake.errors import SettingsError
from stocktake.runs import settings as reader
from stocktake.runs.folder import RunFolder
from stocktake.runs.job import Job
from stocktake.stages import worker
from stocktake.stages.explore import ExploreSettings


def explore(bucket, **settings: int) -> RunFolder:
    folder = bucket.folder.parent / "run"
    source = {"source": str(bucket.folder)}
    ingest = Job(stage="ingest", settings=source, inputs={}, output=str(folder / "ingest"))
    photos = worker.run_job(ingest).path
    todo = Job(
        stage="explore",
        settings=settings,
        inputs={"photos": str(photos)},
        output=str(folder / "explore"),
    )
    return worker.run_job(todo)


@pytest.fixture
def explored(bucket) -> RunFolder:
    for number in range(12):
        bucket.photo(f"{number:05d}", size=(400, 200), shade=10 * number)
        bucket.record(f"{number:05d}", {f"A{number // 2}": 1 + number % 2})
    return explore(bucket, samples_per_count=2, colours=3)


def test_facts_tell_counts_sizes_and_siblings(explored):
    facts = json.loads(explored.artifact("facts.json").read_text())

    assert facts["format"] == "facts/1"
    assert facts["counts"]["photos_by_count"] == {"1": 6, "2": 6}
    assert facts["aspect"]["median"] == 2
    assert facts["siblings"]["groups"] == 6
    assert explored.result()["share_with_siblings"] == 1
    assert explored.result()["size_bytes"] == facts["size_bytes"]


def test_every_count_has_its_colours(explored):
    colours = json.loads(explored.artifact("facts.json").read_text())["colours"]

    assert colours["space"] == "CIELAB (D65)"
    assert set(colours["by_count"]) == {"1", "2"}
    assert len(colours["by_count"]["1"]) == 3
    assert sum(c["share"] for c in colours["by_count"]["1"]) == pytest.approx(1, abs=0.001)


def test_samples_are_small_pictures_by_count(explored):
    facts = json.loads(explored.artifact("facts.json").read_text())
    found = sorted(explored.artifact("samples").rglob("*.jpg"))

    assert [len(ids) for ids in facts["samples"].values()] == [2, 2]
    assert {f"{path.parent.name}/{path.stem}" for path in found} == {
        f"{count}/{photo_id}" for count, ids in facts["samples"].items() for photo_id in ids
    }
    assert Image.open(io.BytesIO(found[0].read_bytes())).size == (160, 80)


def test_a_seed_gives_the_same_facts(explored, bucket):
    before = explored.artifact("facts.json").read_bytes()
    (explored.path / "run.json").unlink()

    again = explore(bucket, samples_per_count=2, colours=3)

    assert again.artifact("facts.json").read_bytes() == before


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"colours": 0}, r"explore\.colours must be 1 to 20, got 0"),
        ({"samples_per_count": -1}, r"explore\.samples_per_count must be 0 to 100, got -1"),
    ],
)
def test_settings_are_checked(settings, told):
    with pytest.raises(SettingsError, match=told):
        reader.build(ExploreSettings, settings, where="explore")
