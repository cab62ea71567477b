import json

import pyarrow as pa
import pytest

from stocktake.data import folds
from stocktake.errors import DataError, SettingsError
from stocktake.runs import settings as reader
from stocktake.runs.folder import RunFolder
from stocktake.runs.job import Job
from stocktake.schema import splits
from stocktake.stages import split as stage
from stocktake.stages import worker
from stocktake.stages.split import SplitSettings
from stocktake.store.tables import read_table, write_table


def ingested(bucket, name: str = "ingest") -> str:
    source = {"source": str(bucket.folder)}
    output = str(bucket.folder.parent / "run" / name)
    return str(worker.run_job(Job(stage="ingest", settings=source, inputs={}, output=output)).path)


def split(bucket, name: str = "split", *, photos: str = "", **settings) -> RunFolder:
    inputs = {"photos": photos or ingested(bucket)}
    output = str(bucket.folder.parent / "run" / name)
    return worker.run_job(Job(stage="split", settings=settings, inputs=inputs, output=output))


def fold_of(run: RunFolder) -> dict[str, str]:
    table = read_table(run.artifact("split.parquet"), format=splits.FORMAT)
    return dict(zip(table["photo_id"].to_pylist(), table["fold"].to_pylist(), strict=True))


def audit_of(run: RunFolder) -> dict:
    return json.loads(run.artifact("audit.json").read_text())


def warnings(run: RunFolder) -> list[str]:
    return [line["message"] for line in run.lines() if line["level"] == "warning"]


@pytest.fixture
def twins(bucket):
    """60 bins, each photographed before and after one thing of several was taken."""
    for number in range(60):
        bucket.bin(f"{number * 10:05d}", **{f"A{number}": 2 + number % 3})
        bucket.bin(f"{number * 10 + 1:05d}", **{f"A{number}": 1 + number % 3})
    return bucket


def test_photos_get_folds_and_siblings_stay_together(twins):
    run = split(twins, seed=4)

    table = read_table(run.artifact("split.parquet"), format=splits.FORMAT)
    splits.check(table)
    result = run.result()
    assert sum(result["photos_by_fold"].values()) == 120
    assert (result["groups"], result["siblings"], result["largest_group"]) == (60, 120, 2)
    assert (result["pairs_across"], result["leaked"], result["kept"]) == (0, 0, 0)
    assert warnings(run) == []


def test_balanced_folds_have_their_shares(twins):
    result = split(twins, kind="balanced").result()

    assert result["photos_by_fold"] == {"train": 78, "val": 12, "calib": 12, "test": 18}
    assert sum(result["counts_by_fold"]["test"].values()) == 18


def test_the_audit_says_what_a_random_split_would_leak(twins):
    run = split(twins, kind="balanced")
    audit = audit_of(run)

    assert audit["format"] == "audit/1" and audit["siblings"]["pairs"] == 60
    assert audit["pairs_across"] == {"pairs": 0, "torn_groups": 0, "shown": []}
    assert audit["this"]["test_photos"] == 18 and audit["this"]["leaked"]["mean"] == 0
    random = audit["random"]
    assert random["leaked"]["mean"] == pytest.approx(0.65, abs=0.1)
    assert random["leaked"]["least"] <= random["leaked"]["mean"] <= random["leaked"]["most"]
    assert run.result()["leaked_share_if_random"] == random["leaked"]["mean"]
    # Every second photo has one thing less, so one number tells the other half of each bin.
    assert random["rules"]["step"]["accuracy_of_leaked"]["value"] == 1
    assert random["rules"]["neighbour"]["accuracy_of_leaked"]["value"] == 0
    step = random["rules"]["step"]
    assert step["gain"]["low"] > 0.2 and step["accuracy"]["n"] == 10 * random["test_photos"]


def test_the_audit_of_a_random_split_is_what_was_said_of_it(twins):
    photos = ingested(twins)
    audit = audit_of(split(twins, photos=photos, seed=0))
    run = split(twins, "random", photos=photos, seed=0, kind="random")
    found = audit_of(run)

    assert found["random"] == audit["random"]
    assert found["random"]["seeds"] == list(range(10))
    assert run.result()["leaked"] > 0
    shown = found["pairs_across"]["shown"][0]
    assert {fold_of(run)[one] for one in shown["photos"]} == set(shown["folds"])
    assert (
        run.result()["pairs_across"]
        == found["pairs_across"]["pairs"]
        > len(found["pairs_across"]["shown"])
    )
    assert "split.kind = random" in warnings(run)[0]


def test_photos_that_come_later_move_nobody(twins):
    before = fold_of(split(twins))
    for number in range(60, 90):
        twins.bin(f"{number * 10:05d}", B=2)
    after = fold_of(split(twins, "later", photos=ingested(twins, "more")))

    assert len(after) == 150
    assert before == {photo_id: after[photo_id] for photo_id in before}


def test_photos_that_move_with_their_groups_are_counted(twins):
    before = fold_of(split(twins))
    for number in range(100, 600, 10):
        twins.bin(f"{number - 1:05d}", **{f"A{number // 10}": 1})
    run = split(twins, photos=ingested(twins, "more"))
    moved = sum(fold_of(run)[photo_id] != fold for photo_id, fold in before.items())

    (warning,) = warnings(run)
    assert moved > 0 and f"{moved} of 120 photos of the split before lie in another" in warning
    kept = split(twins, "../o/split", photos=ingested(twins, "more"), keep=f"{run.path}.1")
    assert {i: fold_of(kept)[i] for i in before} == before and warnings(kept) == []


def test_a_damaged_split_before_is_no_hindrance(twins):
    split(twins).artifact("split.parquet").write_bytes(b"x")
    twins.bin("09000", A=1)
    run = split(twins, photos=ingested(twins, "more"))

    assert run.status == "done" and "is not known" in warnings(run)[0]


def test_photos_that_move_because_the_seed_was_changed_are_no_news(twins):
    photos = ingested(twins)
    split(twins, photos=photos)

    assert warnings(split(twins, photos=photos, seed=1)) == []


@pytest.mark.parametrize("kind", stage.KINDS)
@pytest.mark.parametrize("named", ["", "split", "split/artifacts/split.parquet"])
def test_an_earlier_split_is_kept_whatever_else_changes(twins, kind, named):
    earlier = split(twins, seed=3)
    before = fold_of(earlier)
    for number in range(0, 600, 20):
        twins.bin(f"{number + 2:05d}", **{f"A{number // 10}": 1})
    photos = ingested(twins, "more")
    run = split(
        twins,
        "../other/split",
        photos=photos,
        kind=kind,
        seed=9,
        keep=str(earlier.path.parent / named),
    )
    after = fold_of(run)

    assert before == {photo_id: after[photo_id] for photo_id in before}
    assert run.result()["kept"] == 120
    if kind != "random":
        assert all(after[f"{n + 2:05d}"] == after[f"{n:05d}"] for n in range(0, 600, 20))
        assert run.result()["pairs_across"] == 0 and warnings(run) == []


def earlier_split(path, fold_by_id: dict[str, str]) -> str:
    rows = [{"photo_id": i, "fold": f, "group": i, "count": 1} for i, f in fold_by_id.items()]
    write_table(path, pa.Table.from_pylist(rows, schema=splits.SCHEMA), format=splits.FORMAT)
    return str(path)


def test_groups_that_a_later_photo_joins_stay_parted_and_are_named(twins, tmp_path):
    twins.bin("09001", A=1)
    twins.bin("09002", A=1, B=1)
    twins.bin("09003", B=1)
    keep = earlier_split(tmp_path / "was.parquet", {"09001": "test", "09003": "train"})
    run = split(twins, keep=keep)

    assert (fold_of(run)["09001"], fold_of(run)["09003"]) == ("test", "train")
    (warning,) = warnings(run)
    assert "1 sibling groups lie in two folds" in warning and "09001" in warning
    found = audit_of(run)["pairs_across"]
    assert (found["pairs"], found["torn_groups"]) == (1, 1)
    assert found["shown"] == [{"photos": ["09002", "09003"], "folds": ["test", "train"]}]
    assert run.result()["leaked"] == 1


def test_another_earlier_split_is_another_run(twins, tmp_path):
    photos = ingested(twins)
    keep = earlier_split(tmp_path / "was.parquet", {"00000": "test"})
    one = split(twins, photos=photos, keep=keep)
    first = one.fingerprint
    earlier_split(tmp_path / "was.parquet", {"00000": "val"})
    other = split(twins, photos=photos, keep=keep)

    assert first != other.fingerprint and fold_of(other)["00001"] == "val"


@pytest.mark.parametrize("named", ["", "split", "split/artifacts/split.parquet", "link"])
def test_a_split_cannot_keep_itself_and_stays_where_it_is(twins, named):
    photos = ingested(twins)
    own = split(twins, photos=photos)
    (own.path.parent / "link").symlink_to(own.path)
    before = own.info()

    with pytest.raises(SettingsError, match="which this run writes itself"):
        split(twins, photos=photos, keep=str(own.path.parent / named), seed=5)
    assert own.info() == before and own.before() is None


def test_a_split_moved_aside_can_be_kept_by_the_run_that_moved_it(twins):
    photos = ingested(twins)
    before = fold_of(split(twins, photos=photos))
    own = split(twins, photos=photos, seed=5)
    run = split(twins, photos=photos, seed=5, keep=f"{own.path}.1")

    assert fold_of(run) == before


def test_an_earlier_split_that_is_not_there_is_told(bucket):
    with pytest.raises(SettingsError, match=r"split\.keep: there is no split in 'nowhere'"):
        stage.outside(SplitSettings(keep="nowhere"))


def test_photos_are_uploaded_to_a_folder_that_any_tool_reads(twins, tmp_path):
    photos = ingested(twins)
    target = tmp_path / "for" / "tools"
    run = split(twins, photos=photos, upload=str(target), in_flight=3)

    there = {path.relative_to(target).parts: path for path in target.rglob("*.jpg")}
    assert run.result()["uploaded"] == len(there) == 120
    folds_there = {name: fold for fold, name in (("val", "valid"), ("train", "train"))}
    for (name, count, file), path in there.items():
        photo_id = file.removesuffix(".jpg")
        assert fold_of(run)[photo_id] == folds_there.get(name, name)
        assert (
            count.isdigit()
            and path.read_bytes() == (twins.folder / "bin-images" / file).read_bytes()
        )


def test_an_upload_that_fails_goes_on_when_the_stage_is_run_again(twins, tmp_path):
    photos = ingested(twins)
    target = tmp_path / "there"
    (target / "train" / "9").mkdir(parents=True)
    (target / "train" / "9" / "x.jpg").write_bytes(b"x")
    with pytest.raises(DataError, match=r"1 objects that are not of this split"):
        split(twins, photos=photos, upload=str(target))
    (target / "train" / "9" / "x.jpg").unlink()

    run = split(twins, photos=photos, upload=str(target))

    assert run.status == "done" and run.result()["uploaded"] == 120


def test_a_finished_split_is_uploaded_later_and_stays_the_same_split(twins, tmp_path):
    photos = ingested(twins)
    run = split(twins, photos=photos)
    mark, folds_then = run.fingerprint, fold_of(run)
    inputs = {"photos": photos, "split": str(run.path)}
    train = Job(stage="train", settings={}, inputs=inputs, output=str(tmp_path / "train"))
    before = worker.prepare(train).fingerprint
    for attempt, name in enumerate(("one", "other"), start=2):
        for _ in range(2):
            split(twins, photos=photos, upload=str(tmp_path / name))

            assert len(list((tmp_path / name).rglob("*.jpg"))) == run.result()["uploaded"] == 120
            assert run.info()["attempts"] == attempt

    assert split(twins, photos=photos).info()["attempts"] == 3
    assert (run.fingerprint, fold_of(run), run.before()) == (mark, folds_then, None)
    assert worker.prepare(train).fingerprint == before


def test_an_upload_that_is_given_up_leaves_the_split_to_be_had(twins, tmp_path):
    photos = ingested(twins)
    run = split(twins, photos=photos)
    mark = run.fingerprint
    with pytest.raises(SettingsError, match="begins with s4://"):
        split(twins, photos=photos, upload="s4://bucket")

    again = split(twins, photos=photos)
    assert (again.status, again.fingerprint, again.before()) == ("done", mark, None)


def test_how_many_fly_at_once_makes_no_other_split(twins, tmp_path):
    photos = ingested(twins)
    one = split(twins, photos=photos, upload=str(tmp_path / "there"))
    mark, ended = one.fingerprint, one.info()["ended"]

    again = split(twins, photos=photos, upload=str(tmp_path / "there"), in_flight=2)
    assert (again.fingerprint, again.info()["ended"]) == (mark, ended)


def test_too_few_photos_are_told(bucket):
    bucket.bin("00001", A=1)
    bucket.bin("00002", B=1)

    with pytest.raises(DataError, match="would get none of 2 photos"):
        split(bucket)


def test_one_great_chain_is_warned_of(bucket):
    for number in range(40):
        bucket.photo(f"{number:05d}")
        bucket.record(f"{number:05d}", {}, count=2)
    for number in range(100, 180, 10):
        bucket.bin(f"{number:05d}", A=2)

    run = split(bucket, kind="balanced")

    (warning,) = warnings(run)
    assert "40 of 48 photos are one chain of siblings, from 00000" in warning


def test_the_kinds_are_those_of_the_room():
    assert stage.KINDS == folds.KINDS


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"test_frac": 3.0}, r"split\.test_frac must be between 0 and 1, got 3\.0"),
        ({"val_frac": 0}, r"split\.val_frac must be between 0 and 1, got 0"),
        (
            {"val_frac": 0.4, "calib_frac": 0.4, "test_frac": 0.2},
            "must leave photos to train on, but sum to 1.00",
        ),
        ({"kind": "rnadom"}, r"split\.kind must be one of siblings, .*, got 'rnadom'"),
        ({"in_flight": 0}, r"split\.in_flight must be 1 to 256, got 0"),
    ],
)
def test_settings_are_checked(settings, told):
    with pytest.raises(SettingsError, match=told):
        reader.build(SplitSettings, settings, where="split")


def test_more_photos_may_all_go_to_train(twins):
    before = split(twins, "first", seed=4)
    for number in range(60, 70):
        twins.bin(f"{number * 10:05d}", **{f"A{number}": 3})
    photos = ingested(twins, "more")
    after = fold_of(split(twins, "second", photos=photos, keep=str(before.path), newcomers="train"))

    kept = fold_of(before)
    assert {photo_id: after[photo_id] for photo_id in kept} == kept
    assert [after[photo_id] for photo_id in sorted(after) if photo_id not in kept] == ["train"] * 10


def test_newcomers_need_a_split_to_be_new_to():
    with pytest.raises(ValueError, match="needs split.keep"):
        SplitSettings(newcomers="train")
    with pytest.raises(ValueError, match='"shares" or "train", got "val"'):
        SplitSettings(newcomers="val", keep="x")
