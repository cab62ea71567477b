from collections import Counter
from itertools import pairwise

import pytest

from stocktake.bins import mix
from stocktake.bins import scene as module
from stocktake.bins.scene import locate, scene

SEED = 11
"""The seed of the fixture `scenes`."""


def neighbours(scenes):
    return list(pairwise(scenes))


def siblings(scenes):
    return [(a, b) for a, b in neighbours(scenes) if a.group == b.group]


def test_a_photo_depends_on_seed_and_number_alone(scenes):
    module._group.cache_clear()

    for photo in (1999, 3, 412, 0):
        assert scene(SEED, photo) == scenes[photo]


def test_another_seed_is_another_warehouse(scenes):
    assert scene(SEED + 1, 0).quantities() != scenes[0].quantities()


def test_ids_are_five_digits_from_one_on_without_a_gap(scenes):
    assert [found.photo_id for found in scenes] == [f"{n:05d}" for n in range(1, 2001)]
    assert scene(SEED, 123_455).photo_id == "123456"


def test_counts_keep_the_mix_of_abid(scenes):
    found = Counter(one.count for one in scenes)
    shares = mix.shares_of_counts(10)

    for count, share in enumerate(shares):
        assert found[count] / len(scenes) == pytest.approx(share, abs=0.025)
    assert min(found[count] for count in range(11)) > 0


def test_the_count_is_the_number_of_items_and_the_sum_of_quantities(scenes):
    for found in scenes:
        assert found.count == len(found.items) == sum(found.quantities().values())


def test_products_per_bin_keep_the_mix_of_abid(scenes):
    pairs = [found for found in scenes if found.count == 2]
    threes = [found for found in scenes if found.count == 3]

    assert sum(len(f.quantities()) == 1 for f in pairs) / len(pairs) == pytest.approx(0.25, abs=0.1)
    assert sum(len(f.quantities()) == 3 for f in threes) / len(threes) == pytest.approx(
        0.473, abs=0.12
    )


def test_forty_percent_of_neighbours_show_the_same_bin(scenes):
    assert len(siblings(scenes)) / len(neighbours(scenes)) == pytest.approx(0.4, abs=0.01)


def test_siblings_are_one_pick_or_stow_apart(scenes):
    for before, after in siblings(scenes):
        old, new = Counter(before.quantities()), Counter(after.quantities())
        gone, come = (old - new).total(), (new - old).total()

        assert min(gone, come) == 0, f"{before.photo_id} to {after.photo_id}"
        assert old & new
    same = [a.count == b.count for a, b in siblings(scenes)]
    assert sum(same) / len(same) < 0.04


def test_siblings_share_their_bin_but_not_their_photo(scenes):
    for before, after in siblings(scenes):
        assert (before.label, before.bin_seed) == (after.label, after.bin_seed)
        assert before.photo_seed != after.photo_seed


def test_bins_side_by_side_share_no_product(scenes):
    for before, after in neighbours(scenes):
        if before.group != after.group:
            assert not before.quantities().keys() & after.quantities().keys()


def test_photos_are_as_large_as_those_of_abid(scenes):
    for found in scenes:
        width, height = found.size_px

        assert 315 <= width <= 785
        assert 240 <= height <= 1069


@pytest.mark.parametrize("max_count", [1, 4])
def test_no_bin_holds_more_than_the_highest_count(max_count):
    counts = {scene(2, photo, max_count=max_count).count for photo in range(200)}

    assert max(counts) == max_count


def test_every_photo_has_its_place_in_a_group():
    seen = Counter()
    for photo in range(300):
        group, member, first = locate(5, photo)

        assert first + member == photo
        seen[group] += 1
    assert set(seen) == set(range(180))
    assert set(seen.values()) == {1, 2, 3}
