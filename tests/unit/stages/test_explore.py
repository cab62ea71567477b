import io
import json

import pyarrow.parquet as pq
import pytest
from PIL import Image

from stocktake.errors import SettingsError
from stocktake.runs import settings as reader
from stocktake.runs.folder import RunFolder
from stocktake.runs.job import Job
from stocktake.schema import facts as facts_format
from stocktake.stages import worker
from stocktake.stages.explore import ExploreSettings
from stocktake.store.shards import ShardWriter


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

    assert facts["format"] == facts_format.FORMAT
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


def test_pictures_of_what_is_worth_a_look_are_kept(explored):
    facts = json.loads(explored.artifact("facts.json").read_text())
    kept = {path.stem for path in explored.artifact("pictures").iterdir()}

    assert kept == set(facts["pictures"])
    assert {row["photo_id"] for row in facts["quality"]["darkest"][:6]} <= kept
    assert {row["first"] for row in facts["moves"]["kinds"]["stow"]["shown"]} <= kept


def damaged(bucket, *photo_ids: str) -> RunFolder:
    """A run whose ingested photos are cut short on the disk."""
    for number in range(8):
        bucket.photo(f"{number:05d}", size=(400, 200), shade=10 * number)
        bucket.record(f"{number:05d}", {f"A{number}": 1 + number % 2})
    photos = explore(bucket, samples_per_count=0, pictures=0).path.parent / "ingest"
    shards = photos / "artifacts/photos"
    table = pq.read_table(shards)
    rows = table.to_pylist()
    with ShardWriter(shards) as writer:
        for row in rows:
            cut = row["photo_id"] in photo_ids
            writer.add(row | {"jpeg": row["jpeg"][:-2] if cut else row["jpeg"]})
    (photos.parent / "explore/run.json").unlink()
    todo = Job(
        stage="explore",
        settings={"samples_per_count": 8},
        inputs={"photos": str(photos)},
        output=str(photos.parent / "explore"),
    )
    return worker.run_job(todo)


def test_a_photo_that_cannot_be_decoded_any_more_hurts_only_itself(bucket):
    run = damaged(bucket, "00003", "00006")
    facts = json.loads(run.artifact("facts.json").read_text())

    assert run.result()["undecodable"] == 2
    assert [one["photo_id"] for one in facts["undecodable"]["shown"]] == ["00003", "00006"]
    assert facts["photos"] == 8 and facts["quality"]["photos"] == 6
    assert facts["samples"] == {"1": ["00000", "00002", "00004"], "2": ["00001", "00005", "00007"]}
    assert [line["message"] for line in run.lines() if line["level"] == "warning"] == [
        "2 of 8 photos cannot be decoded any more, the first is 00003: photo is cut short: a JPEG"
        " without its end mark; send the whole file; ingest the photos again"
    ]


def test_a_set_without_one_photo_to_be_seen_is_told_by_its_records(bucket):
    run = damaged(bucket, *(f"{number:05d}" for number in range(8)))
    facts = json.loads(run.artifact("facts.json").read_text())

    assert run.result()["undecodable"] == 8 and run.result()["photos_by_count"] == {"1": 4, "2": 4}
    assert facts["colours"]["by_count"] == {} and facts["quality"]["photos"] == 0


def test_equal_photos_are_found_whatever_their_files(bucket):
    photo = bucket.photo("00001")
    bucket.put("bin-images/00005.jpg", photo)
    bucket.put("bin-images/00009.jpg", photo + b"a word of the camera")
    bucket.photo("00013", shade=91)
    for number, photo_id in enumerate(("00001", "00005", "00009", "00013")):
        bucket.record(photo_id, {f"A{number}": 1 + number})
    run = explore(bucket)
    facts = json.loads(run.artifact("facts.json").read_text())

    assert facts["duplicates"]["same_bytes"]["shown"] == [["00001", "00005"]]
    assert facts["duplicates"]["same_pixels"]["shown"] == [["00001", "00005", "00009"]]
    assert facts["suspects"]["by_reason"]["twins-differ"] == 2
    assert {"00001", "00005", "00009"} <= set(facts["pictures"])


def test_the_number_of_workers_changes_no_fact(explored, bucket):
    before = explored.artifact("facts.json").read_bytes()
    (explored.path / "run.json").unlink()

    again = explore(bucket, samples_per_count=2, colours=3, workers=3)

    assert again.artifact("facts.json").read_bytes() == before


def test_a_seed_gives_the_same_facts(explored, bucket):
    before = explored.artifact("facts.json").read_bytes()
    (explored.path / "run.json").unlink()

    again = explore(bucket, samples_per_count=2, colours=3)

    assert again.artifact("facts.json").read_bytes() == before


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"colours": 0}, r"explore\.colours must be 1 to 20, got 0"),
        ({"workers": 257}, r"explore\.workers must be 0 to 256, got 257"),
        ({"bin_volume_in3": -1.0}, r"explore\.bin_volume_in3 must be 0 to 1,000,000,000, got -1"),
        ({"samples_per_count": -1}, r"explore\.samples_per_count must be 0 to 100, got -1"),
    ],
)
def test_settings_are_checked(settings, told):
    with pytest.raises(SettingsError, match=told):
        reader.build(ExploreSettings, settings, where="explore")
