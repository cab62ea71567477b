import pytest

from stocktake.errors import SettingsError
from stocktake.runs.folder import RunFolder
from stocktake.runs.job import Job
from stocktake.stages import worker
from stocktake.stages.paint import PaintSettings

SMALL = {"photos": 60, "seed": 3, "long_side_px": 80, "processes": 1}


def job(folder, **settings):
    settings = SMALL | settings
    return Job(stage="paint", settings=settings, inputs={}, output=str(folder / "paint"))


def test_the_result_says_what_is_in_the_bucket(tmp_path):
    run = worker.run_job(job(tmp_path))
    result = run.result()

    photos = list((run.artifact("bucket") / "bin-images").iterdir())
    assert result["photos"] == sum(result["photos_by_count"].values()) == len(photos) == 60
    assert result["items"] == sum(int(k) * n for k, n in result["photos_by_count"].items())
    assert result["size_bytes"] == sum(file.stat().st_size for file in photos)
    assert result["found"] == 0


def test_ingest_takes_every_painted_photo_with_its_count(tmp_path):
    painted = worker.run_job(job(tmp_path))
    source = {"source": str(painted.artifact("bucket"))}
    taken = worker.run_job(
        Job(stage="ingest", settings=source, inputs={}, output=str(tmp_path / "ingest"))
    ).result()

    assert (taken["photos"], taken["rejects"]) == (60, 0)
    assert taken["photos_by_count"] == painted.result()["photos_by_count"]


def test_progress_goes_up_to_the_last_photo(tmp_path):
    heard = []
    worker.run_job(job(tmp_path), listener=lambda done, total, what: heard.append((done, total)))

    assert heard[0] == (0, 60)
    assert heard[-1] == (60, 60)
    assert heard == sorted(heard)


def test_a_stopped_paint_goes_on_where_it_was(tmp_path):
    def stop(done, total, what):
        if done >= 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        worker.run_job(job(tmp_path), listener=stop)
    assert RunFolder.open(tmp_path / "paint").status == "stopped"

    result = worker.run_job(job(tmp_path)).result()
    assert result["photos"] == 60
    assert result["found"] == 20


def test_as_many_processes_as_cores_paint_if_none_are_set(tmp_path):
    assert worker.run_job(job(tmp_path, processes=0, photos=90)).result()["photos"] == 90


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"photos": 0}, "photos must be 1 to 1000000, got 0"),
        ({"photos": -1}, "photos must be 1 to 1000000, got -1"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
        ({"max_count": 11}, "max_count must be 1 to 10, got 11"),
        ({"max_count": 0}, "max_count must be 1 to 10, got 0"),
        ({"long_side_px": 63}, "long_side_px must be 0 or 64 to 1200, got 63"),
        ({"processes": -1}, "processes must be 0 to 256, got -1"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(tmp_path, wrong, message):
    with pytest.raises(SettingsError) as caught:
        worker.run_job(job(tmp_path, **wrong))

    assert str(caught.value) == f"paint.{message}"
    assert not (tmp_path / "paint").exists()


def test_counts_go_as_high_as_painted_bins_do():
    from stocktake.bins import mix

    assert PaintSettings().max_count == mix.MAX_COUNT


def test_masks_are_painted_when_asked_for_and_ingest_passes_them_by(tmp_path):
    painted = worker.run_job(job(tmp_path, masks=True, photos=8))
    bucket = painted.artifact("bucket")
    taken = worker.run_job(
        Job(
            stage="ingest",
            settings={"source": str(bucket)},
            inputs={},
            output=str(tmp_path / "ingest"),
        )
    ).result()

    assert len(list((bucket / "masks").glob("*.png"))) == 8
    assert (taken["photos"], taken["rejects"]) == (8, 0)
