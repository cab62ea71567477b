import json

import numpy as np
import pyarrow as pa
import pytest

from stocktake.data import facts, summaries
from stocktake.errors import DataError
from stocktake.schema import photos as schema


def row(photo_id: str, count: int, quantities: dict[str, int], **more: int) -> dict[str, object]:
    items = [{"asin": asin, "quantity": n, "width_in": 2.0} for asin, n in quantities.items()]
    made: dict[str, object] = {"photo_id": photo_id, "count": count, "items": items}
    made |= {"width_px": 400, "height_px": 200, "source": "k", "sha256": "s", "jpeg": b""}
    return made | more


def table(*rows: dict[str, object]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=schema.SCHEMA).drop_columns(["jpeg"])


ROWS = table(
    row("00001", 3, {"A": 2, "B": 1}),
    row("00002", 2, {"A": 2}, width_px=800),
    row("00010", 0, {}),
    row("00020", 5, {"C": 4}),
    row("00030", 4, {}),
    row("00040", 3, {"D": 3}),
)


@pytest.fixture(scope="module")
def found():
    return facts.of_photos(ROWS, [10, 20, 30, 40, 50, 60])


def test_facts_are_plain_data(found):
    assert json.loads(json.dumps(found)) == found
    assert (found["photos"], found["size_bytes"]) == (6, 210)


def test_counts_are_told_with_what_a_constant_scores(found):
    counts = found["counts"]

    assert counts["photos_by_count"] == {"0": 1, "2": 1, "3": 2, "4": 1, "5": 1}
    assert counts["commonest"] == 3
    assert counts["always_commonest_accuracy"] == pytest.approx(1 / 3, abs=1e-4)
    assert counts["always_commonest_rmse"] == pytest.approx(np.sqrt(15 / 6), abs=1e-4)
    assert (counts["empty_bins"], counts["max"]) == (1, 5)


def test_sizes_have_summary_and_histogram(found):
    assert found["width_px"]["max"] == 800
    assert found["aspect"]["median"] == 2
    assert sum(found["width_px"]["histogram"]["photos"]) == 6
    assert len(found["width_px"]["histogram"]["edges"]) == summaries.BINS + 1


def test_sums_that_differ_from_the_count_are_listed(found):
    assert found["differing_sums"] == {
        "photos": 1,
        "shown": [{"photo_id": "00020", "count": 5, "items": 4}],
    }


def test_unknown_items_are_not_taken_for_empty_bins(found):
    assert found["unknown_items"] == {"photos": 1, "shown": ["00030"]}
    assert found["items_per_photo"]["n"] == 5
    assert found["products_per_photo"]["times"] == {"0": 1, "1": 3, "2": 1}
    assert found["quantity_per_product"]["max"] == 4
    assert found["products"] == 4


def test_missing_sizes_are_counted(found):
    assert found["sizes"]["width_in"] == {
        **summaries.measured(np.full(5, 2.0), has_tail=True),
        "missing": 0,
    }
    assert found["sizes"]["weight_lb"] == {"n": 0, "missing": 5}


def test_siblings_are_told_with_what_happened(found):
    assert found["siblings"]["groups_by_size"] == {"1": 4, "2": 1}
    assert found["siblings"]["photos_with_siblings"] == 2
    assert found["siblings"]["pairs_by_change"] == {"-1": 1}


def test_what_happened_and_what_is_suspicious_is_told(found):
    assert found["moves"]["kinds"]["pick"]["pairs"] == found["moves"]["pairs"] == 1
    assert found["suspects"]["by_reason"]["sum-differs"] == 1
    assert found["fullness"]["empty"] == {"photos": 1, "shown": ["00010"]}


def test_equal_photos_of_different_counts_are_suspicious():
    twins = facts.of_photos(ROWS, [], twins=[["00020", "00040"], ["00001", "00040"]])["suspects"]

    assert twins["by_reason"]["twins-differ"] == 1


def test_samples_are_the_same_for_a_seed_and_sorted():
    rows = table(*(row(f"{i:05d}", i % 3, {}) for i in range(60)))

    one, same, other = (facts.sample(rows, per_count=4, seed=s) for s in (1, 1, 2))

    assert one == same != other
    assert [len(photo_ids) for photo_ids in one.values()] == [4, 4, 4]
    assert all(photo_ids == sorted(photo_ids) for photo_ids in one.values())


def test_samples_do_not_depend_on_the_order_of_rows():
    rows = table(*(row(f"{i:05d}", 1, {}) for i in range(60)))
    back = rows.take(list(range(60))[::-1])

    assert facts.sample(rows, per_count=4, seed=1) == facts.sample(back, per_count=4, seed=1)


def test_no_photos_are_told():
    with pytest.raises(DataError, match="no photos to say anything of"):
        facts.of_photos(table(), [])
