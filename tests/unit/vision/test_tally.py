import math

import torch

from stocktake.vision.tally import Tally
from stocktake.vision.world import World

LOG_PROBS = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]]).log()
COUNTS = torch.tensor([0, 2, 2])


def test_means_do_not_depend_on_how_photos_come():
    whole, pieces = Tally(), Tally()
    whole.add(LOG_PROBS, COUNTS, 2.0)
    for i, loss in enumerate((1.0, 2.0, 3.0)):
        pieces.add(LOG_PROBS[i : i + 1], COUNTS[i : i + 1], loss)

    assert whole.state() == pieces.state()
    assert whole.photos == 3 and whole.loss == 2.0 and whole.accuracy == 2 / 3


def test_it_goes_on_from_its_state_and_alone_it_is_the_sum():
    tally = Tally()
    tally.add(LOG_PROBS, COUNTS, 2.0)

    assert Tally(tally.state()).state() == tally.over(World()).state() == tally.state()


def test_photos_without_weight_count_for_accuracy_alone():
    tally = Tally()
    tally.add(LOG_PROBS, COUNTS, 0.0, weight=0)

    assert math.isinf(tally.loss) and tally.accuracy == 2 / 3
