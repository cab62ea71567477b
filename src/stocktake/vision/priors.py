"""Priors: how common each count is, taken out of what a counter learns."""

from collections.abc import Mapping

import torch

from stocktake.vision.losses import Loss


def adjusted(loss: Loss, tally: Mapping[str, int], *, max_count: int, strength: float) -> Loss:
    """The loss with the training mix added to the log-probabilities, so that the counter need not
    learn it: at strength 1 it learns as if every count were equally common.

    Logit adjustment, Menon et al. 2021, "Long-tail learning via logit adjustment": what weighting
    the counts is meant to do, without steps that hang on a few rare photos. A count that training
    lacks is taken to have one photo.

    Args:
        loss: takes (log_probs (B, K), counts (B,)).
        tally: training photos by count, counts as text.
        max_count: K - 1.
        strength: 0 leaves the loss as it is, 1 takes the whole mix out.
    """
    if not strength:
        return loss
    photos = [max(tally.get(str(count), 0), 1) for count in range(max_count + 1)]
    shift = strength * torch.tensor(photos, dtype=torch.float32).log()  # (K,)

    def with_prior(log_probs: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        shifted = log_probs + shift.to(log_probs.device)
        return loss(torch.log_softmax(shifted, dim=1), counts)

    return with_prior
