import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from stocktake.errors import DataError
from stocktake.schema import bundles
from stocktake.schema.predictions import Prediction
from stocktake.serve.predictor import BATCH, Predictor


def test_each_photo_gets_its_own_answer_in_order(bright_bundle, photo_of):
    counts = [3, 0, 5, 1, 4, 2] * 4  # more than one batch
    photos = [photo_of(count) for count in counts]

    answers = Predictor.load(bright_bundle).predict(photos, [str(i) for i in range(len(photos))])

    assert len(photos) > BATCH
    assert [a.count for a in answers] == counts
    assert [a.photo_id for a in answers] == [str(i) for i in range(len(photos))]


def test_an_answer_is_calibrated_and_says_which_bundle_gave_it(bright_bundle, photo_of):
    predictor = Predictor.load(bright_bundle)

    (answer,) = predictor.predict([photo_of(2)])

    assert answer.low <= answer.count <= answer.high
    assert answer.coverage == 0.9
    assert answer.confidence == max(answer.probabilities) == answer.probabilities[2]
    assert sum(answer.probabilities) == pytest.approx(1, abs=1e-9)
    assert answer.bundle == predictor.bundle.id


def test_a_higher_temperature_makes_it_less_sure(bundle_maker, photo_of, tmp_path):
    warm = {"temperature": 4.0, "coverage": 0.9, "threshold": 0.95}
    sure = Predictor.load(bundle_maker(tmp_path / "a")).predict([photo_of(3)])[0]
    unsure = Predictor.load(bundle_maker(tmp_path / "b", calibration=warm)).predict([photo_of(3)])[
        0
    ]

    assert unsure.count == sure.count == 3
    assert unsure.confidence < sure.confidence
    assert unsure.high - unsure.low > sure.high - sure.low


def test_a_bundle_decodes_as_it_was_judged(bundle_maker, photo_of, tmp_path):
    vague = {"temperature": 30.0, "coverage": 0.9, "threshold": 0.1}
    folder = bundle_maker(tmp_path / "a", calibration=vague, decode="mean")

    (answer,) = Predictor.load(folder).predict([photo_of(0)])

    likeliest = int(np.argmax(answer.probabilities))
    mean = sum(count * p for count, p in enumerate(answer.probabilities))
    assert likeliest == 0 < answer.count == round(mean)
    assert answer.confidence == answer.probabilities[answer.count] < answer.probabilities[0]
    assert answer.low <= 0 < answer.count <= answer.high


@pytest.mark.parametrize(("asked", "says"), [(0.0, "accept"), (1.0, "review")])
def test_an_answer_is_accepted_from_the_confidence_the_bundle_asks_for(
    bundle_maker, photo_of, tmp_path, asked, says
):
    folder = bundle_maker(tmp_path / "a", accept_confidence=asked)

    (answer,) = Predictor.load(folder).predict([photo_of(2)])

    assert answer.decision == says and 0 < answer.confidence < 1


def test_an_unknown_decoding_is_refused(bundle_maker, tmp_path):
    with pytest.raises(DataError, match="decodes by 'meen'.*mean"):
        Predictor.load(bundle_maker(tmp_path / "a", decode="meen"))


def test_a_bad_photo_hurts_only_itself(bright_bundle, photo_of):
    photos = [photo_of(1), b"no photo", photo_of(4)[:200], b"", photo_of(5, kind="PNG")]

    answers = Predictor.load(bright_bundle).predict(photos)

    assert [type(a) for a in answers] == [Prediction, DataError, DataError, DataError, Prediction]
    assert [answers[0].count, answers[4].count] == [1, 5]
    assert all("\n" not in str(a) for a in answers[1:4])


def test_no_photos_is_no_answers(bright_bundle):
    assert Predictor.load(bright_bundle).predict([]) == []


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_every_promised_format_is_read(bright_bundle, photo_of, kind):
    (answer,) = Predictor.load(bright_bundle).predict([photo_of(3, kind=kind)])

    assert answer.count == 3


def test_threads_may_share_a_predictor(bright_bundle, photo_of):
    predictor = Predictor.load(bright_bundle, threads=1)
    counts = [i % 6 for i in range(60)]

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda count: predictor.predict([photo_of(count)])[0], counts))

    assert [a.count for a in answers] == counts


def test_a_bundle_of_two_views_averages_both_looks(bundle_maker, tmp_path):
    plain = Predictor.load(bundle_maker(tmp_path / "a")).log_probs
    flipping = Predictor.load(bundle_maker(tmp_path / "b", views=2)).log_probs
    photos = np.zeros((1, 32, 32, 3), dtype=np.uint8)
    photos[:, :, 16:] = 255  # bright on the right
    mirrored = photos[:, :, ::-1]

    both = (plain(photos) + plain(mirrored)) / 2
    both -= np.logaddexp.reduce(both, axis=1, keepdims=True)

    assert np.abs(plain(photos) - plain(mirrored)).max() > 1
    assert flipping(photos) == pytest.approx(both, abs=1e-5)
    assert flipping(mirrored) == pytest.approx(both, abs=1e-5)


def test_a_whole_bundle_passes_its_self_test(bright_bundle):
    assert Predictor.load(bright_bundle).self_test() < 1e-6


def test_a_bundle_that_answers_differently_is_refused(bright_bundle, photo_of):
    (bright_bundle / bundles.SELF_TEST_PHOTO).write_bytes(photo_of(3))

    with pytest.raises(DataError, match="got count 3 .* expected count 2"):
        Predictor.load(bright_bundle).self_test()


@pytest.mark.parametrize("wrong", [[], [0.5, 0.5], ["x"] * 6, [None] * 6, 7])
def test_an_expectation_that_makes_no_sense_is_refused(bright_bundle, wrong):
    path = bright_bundle / bundles.SELF_TEST_EXPECTED
    path.write_text(json.dumps(json.loads(path.read_text()) | {"probabilities": wrong}))

    with pytest.raises(DataError, match="self-test"):
        Predictor.load(bright_bundle).self_test()


@pytest.mark.parametrize("name", [bundles.SELF_TEST_PHOTO, bundles.SELF_TEST_EXPECTED])
def test_a_bundle_without_its_self_test_is_refused(bright_bundle, name):
    (bright_bundle / name).unlink()

    with pytest.raises(DataError, match=f"not a whole bundle.*{name}"):
        Predictor.load(bright_bundle).self_test()


def test_a_model_that_does_not_fit_its_description_is_refused(bundle_maker, tmp_path):
    with pytest.raises(DataError, match="bundle.json needs"):
        bundle_maker(tmp_path / "a", max_count=9)


def test_a_file_that_is_no_model_is_refused(bright_bundle):
    row = bundles.read_json(bright_bundle, bundles.FILE)
    (bright_bundle / bundles.MODEL).write_bytes(b"not a model")
    row |= {"model_sha256": bundles.hash_of(bright_bundle / bundles.MODEL), "id": ""}
    bundles.write(bright_bundle, bundles.Bundle(**row))

    with pytest.raises(DataError, match="cannot be loaded") as caught:
        Predictor.load(bright_bundle)

    assert "\n" not in str(caught.value)


def test_predicting_loads_no_torch(bright_bundle, photo_of, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(photo_of(4))
    code = (
        "import sys; from pathlib import Path; from stocktake.serve.predictor import Predictor\n"
        f"p = Predictor.load(Path({str(bright_bundle)!r})); p.self_test()\n"
        f"print(p.predict([Path({str(tmp_path / 'photo.jpg')!r}).read_bytes()])[0].count)\n"
        "print([n for n in ('torch', 'timm', 'onnx', 'pyarrow') if n in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert out.stdout.split() == ["4", "[]"]
