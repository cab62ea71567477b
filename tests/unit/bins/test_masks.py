import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from stocktake.bins import draw, masks, painter, placing


@pytest.mark.parametrize("long_side_px", [0, 224])
def test_every_item_has_its_label_and_no_other_label_is_there(scenes, long_side_px):
    for found in scenes[:120]:
        labels = masks.labels(found, long_side_px=long_side_px)

        assert set(np.unique(labels)) - {0} == set(range(1, found.count + 1)), found.photo_id


def test_a_mask_has_the_size_of_its_photo(scenes):
    for found in scenes[:4]:
        for side in (0, 150):
            shape = draw.photo(found, long_side_px=side).shape[:2]

            assert masks.labels(found, long_side_px=side).shape == shape


def test_units_come_in_the_order_of_the_metadata(scenes):
    for found in scenes[:100]:
        row = json.loads(painter.metadata(found))["BIN_FCSKU_DATA"]
        wanted = [asin for asin, item in row.items() for _ in range(item["quantity"])]
        listed = json.loads(masks.record(found, masks.labels(found)))["units"]

        assert [unit["asin"] for unit in listed] == wanted
        assert [unit["label"] for unit in listed] == list(range(1, found.count + 1))


def test_areas_on_record_are_those_of_the_mask(scenes):
    for found in scenes[:40]:
        labels = masks.labels(found)
        for unit in json.loads(masks.record(found, labels))["units"]:
            assert unit["area_px"] == (labels == unit["label"]).sum() > 0
            assert placing.MIN_VISIBLE <= unit["visible_share"] <= 1


def test_a_png_gives_the_labels_back(scenes):
    labels = masks.labels(scenes[5])
    read = Image.open(io.BytesIO(masks.png(labels)))

    assert read.mode == "L"
    assert np.array_equal(np.asarray(read), labels)


def test_the_photo_changes_inside_a_mask_when_its_item_goes(scenes):
    """Whatever else a lost item changes nearby, shadows for one, it changes its own pixels most."""
    found = next(one for one in scenes if one.count == 4)
    whole, labels = draw.photo(found).astype(int), masks.labels(found)
    for number, item in enumerate(masks.units(found)):
        items = found.items[:item] + found.items[item + 1 :]
        without = draw.photo(replace(found, items=items)).astype(int)
        change = np.abs(whole - without).sum(axis=2)
        own = labels == number + 1

        assert change[own].mean() > 4 * change[~own].mean()


def test_rims_hide_and_bands_do_not(scenes):
    found = next(one for one in scenes if one.count == 1)
    item = replace(found.items[0], x=found.pocket.width / 2, y=0.0, z=0.0, size=(4.0, 4.0, 0.5))
    labels = masks.labels(replace(found, items=(replace(item, lean=0.0, yaw=0.0),)))
    rows = np.flatnonzero(labels.any(axis=1))

    assert rows.size
    assert labels[rows[-1] + 4 :].any() == np.False_
    filled = labels[rows[0] : rows[-1] + 1].any(axis=1)
    assert filled.all(), "no band cuts the item in two"
