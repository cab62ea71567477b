import numpy as np
import pytest

from stocktake.data import dealing

SHARES = {"train": 0.65, "val": 0.10, "calib": 0.10, "test": 0.15}
NAMES = [f"{number:05d}" for number in range(20_000)]


def test_by_hash_the_shares_come_out_on_the_average():
    folds = list(dealing.by_hash(NAMES, shares=SHARES, seed=0).values())

    for fold, share in SHARES.items():
        assert folds.count(fold) / len(NAMES) == pytest.approx(share, abs=0.01)


def test_by_hash_nobody_depends_on_the_others():
    of_all = dealing.by_hash(NAMES, shares=SHARES, seed=0)
    of_some = dealing.by_hash(NAMES[5:900:7], shares=SHARES, seed=0)

    assert of_some == {name: of_all[name] for name in of_some}


def test_by_hash_the_seed_decides():
    one, other = (dealing.by_hash(NAMES, shares=SHARES, seed=seed) for seed in (0, 1))
    same = sum(one[name] == other[name] for name in NAMES) / len(NAMES)

    assert same == pytest.approx(sum(share**2 for share in SHARES.values()), abs=0.02)


def test_by_hash_a_larger_test_fold_keeps_the_photos_it_had():
    larger = SHARES | {"train": 0.55, "test": 0.25}
    before = dealing.by_hash(NAMES, shares=SHARES, seed=0)
    after = dealing.by_hash(NAMES, shares=larger, seed=0)

    assert {after[name] for name in NAMES if before[name] == "test"} == {"test"}
    assert {before[name] for name in NAMES if after[name] == "train"} == {"train"}


def test_by_hash_places_are_known():
    """A change here moves everybody's photos: then the stage's version changes."""
    folds = dealing.by_hash(NAMES[:24], shares=SHARES, seed=0).values()

    assert " ".join(fold[:2] for fold in folds) == KNOWN


KNOWN = "tr te tr te tr te te tr tr ca te tr tr tr tr ca tr tr tr tr tr tr tr ca"


def test_by_count_every_fold_has_its_share_of_every_count():
    counts = np.arange(1200) % 4
    fold_of = dealing.by_count(NAMES[:1200], counts, shares=SHARES, seed=0)

    for fold, share in SHARES.items():
        mine = [counts[i] for i, name in enumerate(NAMES[:1200]) if fold_of[name] == fold]
        assert np.bincount(mine).tolist() == pytest.approx([300 * share] * 4, abs=1)


def test_by_count_what_is_placed_is_made_up_for():
    counts = np.zeros(1000, dtype=np.int64)
    placed = ["train"] * 500 + [""] * 500
    fold_of = dealing.by_count(NAMES[:1000], counts, shares=SHARES, seed=0, placed=placed)

    assert len(fold_of) == 500 and NAMES[3] not in fold_of
    dealt = list(fold_of.values())
    assert dealt.count("train") == 150 and dealt.count("test") == 150


def test_strata_gather_rare_neighbours():
    counts = np.array([0] * 3 + [1] * 30 + [2] * 25 + [7] * 2 + [9] * 2)

    assert dict(zip(counts.tolist(), dealing.strata(counts).tolist(), strict=True)) == {
        **{0: 0, 1: 0, 2: 1, 7: 1, 9: 1},
    }
