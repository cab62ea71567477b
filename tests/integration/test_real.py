"""Real photos, their folder in STOCKTAKE_REAL: nothing lost or leaked (`make test-real`)."""

import json
from pathlib import Path

import pytest

from stocktake.runs.folder import RunFolder
from stocktake.runs.job import Job
from stocktake.schema import splits
from stocktake.stages.worker import run_job
from stocktake.store.tables import read_table

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def ingested(real_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    settings = {"source": str(real_photos), "counts": "1-5"}
    output = tmp_path_factory.mktemp("real") / "ingest"
    return run_job(Job(stage="ingest", settings=settings, inputs={}, output=str(output)))


def test_counts_are_those_of_the_metadata(ingested, real_photos):
    found: dict[str, int] = {}
    for file in (real_photos / "metadata").glob("*.json"):
        count = json.loads(file.read_bytes())["EXPECTED_QUANTITY"]
        if 1 <= count <= 5:
            found[str(count)] = found.get(str(count), 0) + 1

    assert ingested.result()["photos_by_count"] == dict(sorted(found.items()))


def test_no_bin_is_photographed_in_two_folds(ingested, real_photos, tmp_path):
    """Looked up in the metadata itself, not through our own search for siblings."""
    job = Job(
        stage="split",
        settings={},
        inputs={"photos": str(ingested.path)},
        output=str(tmp_path / "split"),
    )
    table = read_table(run_job(job).artifact("split.parquet"), format=splits.FORMAT)
    fold_of = dict(zip(table["photo_id"].to_pylist(), table["fold"].to_pylist(), strict=True))
    items = {
        photo_id: set(
            json.loads((real_photos / f"metadata/{photo_id}.json").read_bytes())["BIN_FCSKU_DATA"]
        )
        for photo_id in fold_of
    }
    pairs = [
        (one, other)
        for one in fold_of
        for step in (1, 2)
        if (other := f"{int(one) + step:0{len(one)}d}") in fold_of and items[one] & items[other]
    ]

    assert len(pairs) > 100
    assert [pair for pair in pairs if len({fold_of[photo_id] for photo_id in pair}) > 1] == []


def test_explore_names_every_count_that_its_items_do_not_sum_up_to(ingested, real_photos, tmp_path):
    """Looked up in the metadata itself, not through our own columns."""
    job = Job(
        stage="explore",
        settings={},
        inputs={"photos": str(ingested.path)},
        output=str(tmp_path / "explore"),
    )
    run = run_job(job)
    facts = json.loads(run.artifact("facts.json").read_bytes())
    differing = set()
    for file in (real_photos / "metadata").glob("*.json"):
        record = json.loads(file.read_bytes())
        total = sum(item["quantity"] for item in record["BIN_FCSKU_DATA"].values())
        if 1 <= record["EXPECTED_QUANTITY"] <= 5 and total != record["EXPECTED_QUANTITY"]:
            differing.add(file.stem)

    assert {row["photo_id"] for row in facts["differing_sums"]["shown"]} == differing
    assert facts["suspects"]["by_reason"]["sum-differs"] == len(differing)
    assert run.result()["undecodable"] == 0
