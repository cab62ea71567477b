import numpy as np

from stocktake.serve.occlusion import BATCH, PARTS, occlusion_map


def looks_at(rows: slice, columns: slice):
    """A model whose count 1 is the likelier, the brighter one place of the photo is."""

    def log_probs(photos):
        assert len(photos) <= BATCH
        light = photos[:, rows, columns].mean(axis=(1, 2, 3)) / 255
        return np.stack([np.log(1.01 - light), np.log(0.01 + light)], axis=1).astype(np.float32)

    return log_probs


def test_the_map_marks_the_place_that_the_answer_depends_on():
    photo = np.zeros((70, 70, 3), np.uint8)
    photo[50:60, 10:20] = 255

    made = occlusion_map(photo, 1, looks_at(slice(50, 60), slice(10, 20)))

    assert made.falls.shape == (PARTS, PARTS)
    assert np.unravel_index(made.falls.argmax(), made.falls.shape) == (5, 1)
    assert made.falls.max() == 1 and made.most > 1
    assert made.falls[:3].max() == 0 and made.falls[:, 4:].max() == 0


def test_a_model_that_looks_nowhere_has_an_empty_map():
    def blind(photos):
        return np.full((len(photos), 3), np.log(1 / 3), np.float32)

    made = occlusion_map(np.full((35, 35, 3), 9, np.uint8), 2, blind)

    assert made.most == 0 and not made.falls.any()


def test_a_part_whose_covering_makes_the_answer_likelier_is_not_marked():
    photo = np.full((70, 70, 3), 200, np.uint8)
    photo[0:10, 0:10] = 0

    made = occlusion_map(photo, 1, looks_at(slice(0, 10), slice(0, 10)))

    assert made.falls[0, 0] == 0
