from collections import Counter
from random import Random

import pytest

from stocktake.bins import mix


@pytest.mark.parametrize("max_count", [1, 5, 10])
def test_shares_of_counts_sum_to_one_up_to_the_highest(max_count):
    shares = mix.shares_of_counts(max_count)

    assert len(shares) == max_count + 1
    assert sum(shares) == pytest.approx(1)


def test_three_items_are_the_commonest_as_in_abid():
    shares = mix.shares_of_counts(10)

    assert max(range(11), key=shares.__getitem__) == 3
    assert shares[3] == pytest.approx(1518 / 8116)


@pytest.mark.parametrize("max_count", [2, 5, 10])
def test_a_chain_of_siblings_keeps_the_mix(max_count):
    rng = Random(3)
    wanted = mix.shares_of_counts(max_count)
    counts = [mix.first_count(rng, photos=2, max_count=max_count) for _ in range(8000)]
    for _ in range(3):
        counts = [mix.next_count(rng, count, max_count=max_count) for count in counts]

    found = Counter(counts)
    for count in range(1, max_count + 1):
        share = wanted[count] / (1 - wanted[0])
        assert found[count] / len(counts) == pytest.approx(share, abs=0.025)


def test_a_pick_or_stow_mostly_moves_one_or_two_items():
    rng = Random(4)
    changes = Counter(mix.next_count(rng, 4, max_count=10) - 4 for _ in range(4000))

    assert changes[0] / 4000 < 0.05
    assert (changes[-1] + changes[-2] + changes[1] + changes[2]) / 4000 > 0.7


def test_only_bins_without_siblings_are_empty():
    rng = Random(5)
    alone = [mix.first_count(rng, photos=1, max_count=10) for _ in range(4000)]
    pairs = [mix.first_count(rng, photos=2, max_count=10) for _ in range(4000)]

    assert alone.count(0) / 4000 * 0.24 == pytest.approx(159 / 8116, abs=0.006)
    assert 0 not in pairs


@pytest.mark.parametrize("count", range(1, 11))
def test_quantities_share_out_every_item(count):
    rng = Random(count)
    for _ in range(200):
        products = mix.products_for(rng, count)
        found = mix.quantities(rng, count, products)

        assert len(found) == products
        assert sum(found) == count
        assert min(found) >= 1


def test_photos_have_sizes_that_abid_has():
    rng = Random(6)
    sizes = [mix.photo_size(rng) for _ in range(2000)]
    widths, heights = sorted(w for w, _ in sizes), sorted(h for _, h in sizes)

    assert (widths[0] >= 315, widths[-1] <= 785) == (True, True)
    assert (heights[0] >= 240, heights[-1] <= 1069) == (True, True)
    assert 420 < widths[1000] < 560
    assert 300 < heights[1000] < 460


def test_a_block_holds_a_hundred_photos_in_an_order_of_its_own():
    blocks = [mix.groups_of_block(1, block) for block in range(20)]

    assert {sum(sizes) for sizes in blocks} == {100}
    assert len(set(blocks)) == 20
    assert mix.groups_of_block(1, 0) != mix.groups_of_block(2, 0)
