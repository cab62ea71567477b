import base64
import io
from dataclasses import asdict, replace

import numpy as np
import pytest
from PIL import Image

from stocktake.pages import gallery_sections, page
from stocktake.pages.score_sections import card_of
from stocktake.pages.standing import read_stages
from stocktake.schema import heatmaps
from stocktake.schema import scores as schema
from stocktake.schema.cards import ScoreCard
from stocktake.store.tables import read_table, write_table


def shelf(facts, title: str):
    return next(one["photos"] for one in facts["shelves"] if one["title"] == title)


def judged(stages):
    table = read_table(stages["score"].artifact("scores.parquet"), format=schema.FORMAT)
    return schema.of_folds(table, ["test"])


def test_surely_wrong_photos_are_wrong_and_the_surest(stages):
    facts = gallery_sections.gallery(stages)
    test = judged(stages)
    said, counts = schema.matrix(test).argmax(axis=1), schema.counts(test)
    wrong, unsure = (shelf(facts, gallery_sections.KINDS[kind]) for kind in ("wrong", "unsure"))

    sure = [one["confidence"] for one in wrong]
    assert sure == sorted(sure, reverse=True)
    assert len(wrong) == min((said != counts).sum(), gallery_sections.PICTURES)
    assert all(one["count"] != one["true_count"] for one in wrong)
    doubtful = [one["confidence"] for one in unsure]
    assert doubtful == sorted(doubtful) and doubtful[0] <= min(sure)
    assert all(one["uri"] and one["heat_uri"] is None for one in wrong + unsure)
    right = shelf(facts, gallery_sections.KINDS["right"])
    assert all(one["count"] == one["true_count"] for one in right)


def test_confidence_is_the_calibrated_one(stages):
    card = card_of(stages)
    first = shelf(gallery_sections.gallery(stages), gallery_sections.KINDS["unsure"])[0]
    table = read_table(stages["score"].artifact("scores.parquet"), format=schema.FORMAT)
    place = table["photo_id"].to_pylist().index(first["photo_id"])
    powers = np.exp(schema.matrix(table)[place].astype(np.float64) / card.temperature)

    assert first["confidence"] == pytest.approx(powers.max() / powers.sum())
    assert [bar["share"] for bar in first["likeliest"]] == pytest.approx(
        sorted(powers / powers.sum(), reverse=True)[:3]
    )


def test_scores_without_the_judged_fold_show_no_photos(demo):
    stages = read_stages(demo)
    path = stages["evaluate"].artifact("scorecard.json")
    replace(ScoreCard.read(path), fold="train").write(path)

    assert gallery_sections.gallery(read_stages(demo)) is None


def test_a_card_made_for_some_counts_shows_only_those(demo):
    stages = read_stages(demo)
    path = stages["evaluate"].artifact("scorecard.json")
    card = ScoreCard.read(path)
    rows = [row for row in card.per_count if row.count in (1, 2)]
    assert asdict(rows[0])
    replace(card, per_count=rows, shift=[None, 0.0, 0.0, None]).write(path)
    facts = gallery_sections.gallery(read_stages(demo))

    shown = [one for some in facts["shelves"] for one in some["photos"]]
    assert {one["true_count"] for one in shown} == {1, 2} >= {one["count"] for one in shown}
    assert all(bar["share"] == 0 for one in shown for bar in one["likeliest"][2:])


def test_heat_maps_are_laid_over_the_photos_that_have_one(demo):
    stages = read_stages(demo)
    ids = judged(stages)["photo_id"].to_pylist()
    table = heatmaps.table_of(
        ids, np.ones(len(ids), dtype=np.int64), np.ones((len(ids), 2, 2), dtype=np.float32)
    )
    write_table(stages["score"].artifact("heatmaps.parquet"), table, format=heatmaps.FORMAT)
    facts = gallery_sections.gallery(read_stages(demo))
    text = page.render("gallery.html", **facts)

    assert facts["has_heat"] and "Grad-CAM" in text
    shown = [one for some in facts["shelves"] for one in some["photos"]]
    assert all(one["heat_uri"] for one in shown)
    assert f"where the model looked in photo {shown[0]['photo_id']}" in text


def test_confusions_are_the_most_frequent_with_their_surest_photos(stages):
    facts = gallery_sections.gallery(stages)
    test = judged(stages)
    said, counts = schema.matrix(test).argmax(axis=1), schema.counts(test)

    sizes = [pair["n"] for pair in facts["confusions"]]
    assert sizes == sorted(sizes, reverse=True) and facts["confusions"]
    for pair in facts["confusions"]:
        assert pair["n"] == ((counts == pair["true_count"]) & (said == pair["count"])).sum()
        for one in pair["photos"]:
            assert (one["true_count"], one["count"]) == (pair["true_count"], pair["count"])


def test_heat_colours_only_where_it_is_hot():
    made = io.BytesIO()
    Image.new("RGB", (64, 32), (120, 120, 120)).save(made, "JPEG")
    heat = np.array([[255, 0]], dtype=np.uint8)
    uri = page.heat_uri(made.getvalue(), heat, side_px=64)
    assert uri is not None
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))).astype(int)

    assert pixels.shape == (32, 64, 3)
    left, right = pixels[16, 4], pixels[16, 60]
    assert left[0] - left[2] > 60 and abs(right[0] - right[2]) < 12
    assert page.heat_uri(b"no photo", heat) is None
