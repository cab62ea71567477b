"""Small real trainings with an illness each, and healthy ones, recorded step by step.

The task is told images of 3 x 8 x 8 apart in four classes; a training takes under a second.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from recorded import Pen
from torch import Tensor, nn

from stocktake.debugger.records import Mode, Record

CLASSES = 4
ACTIVATIONS = (nn.ReLU, nn.Sigmoid, nn.Tanh)
Data = tuple[Tensor, Tensor]


@dataclass
class Training:
    """What a training is made of; an illness changes some of it."""

    data: Data
    held: Data
    net: nn.Module
    optimizer: Callable[[Any], torch.optim.Optimizer]
    steps: int
    batch: int = 0
    """Images a step; 0 for all."""
    eval_every: int = 5
    tokens: Tensor | None = None
    pause_after: int = -1
    """Step after which nothing happens for an hour."""
    generator: torch.Generator = field(default_factory=torch.Generator)

    def run(self) -> Record:
        """Train, and record every step."""
        pen = Pen()
        optimizer = self.optimizer(self.net)
        place: list[tuple[Mode, int]] = [("train", 0)]
        self._watch(pen, place)
        evals = 0
        for step in range(self.steps):
            place[0] = ("train", step)
            self.net.train()
            pick = torch.randperm(len(self.data[0]), generator=self.generator)
            pick = pick[: self.batch or None]
            loss = self._forward(pen, place[0], (self.data[0][pick], self.data[1][pick]))
            optimizer.zero_grad()
            loss.backward()
            for name, weight in self.net.named_parameters():
                if weight.grad is not None:
                    pen.tensor(place[0], f"gradient/{name}", "gradients", weight.grad)
            for name, weight in self.net.named_parameters():
                pen.weight(place[0], name, weight)
            optimizer.step()
            if step == self.pause_after:
                pen.pause(3600)
            if (step + 1) % self.eval_every == 0:
                place[0] = ("eval", evals)
                evals += 1
                with torch.no_grad():
                    self.net.eval()
                    self._forward(pen, place[0], self.held)
        return Record(pen.rows)

    def _forward(self, pen: Pen, place: tuple[Mode, int], batch: Data) -> Tensor:
        images, labels = batch
        pen.tensor(place, "images", "inputs", images)
        if self.tokens is not None:
            pen.labels(place, "tokens", self.tokens, collection="inputs")
        scores = self.net(images)
        loss = nn.functional.cross_entropy(scores, labels)
        pen.write(place, "loss", "losses", statistic="value", value=loss.item())
        pen.labels(place, "labels", labels)
        pen.labels(place, "predictions", scores.detach())
        return loss

    def _watch(self, pen: Pen, place: list[tuple[Mode, int]]) -> None:
        for name, module in self.net.named_modules():
            if isinstance(module, ACTIVATIONS):
                kind = type(module).__name__

                def seen(
                    _: nn.Module, given: Any, out: Tensor, n: str = name, k: str = kind
                ) -> None:
                    pen.tensor(place[0], f"{n}:in", "activation_inputs", given[0].detach(), k)
                    pen.tensor(place[0], f"{n}:out", "activations", out.detach(), k)

                module.register_forward_hook(seen)


def images(n: int, seed: int, *, noise: float = 1.0) -> Data:
    """Noisy images of four patterns, mean about 0; the patterns do not depend on the seed."""
    patterns = torch.randn(CLASSES, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    patterns -= patterns.mean(dim=(2, 3), keepdim=True)
    rng = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (n,), generator=rng)
    return patterns[labels] + noise * torch.randn(n, 3, 8, 8, generator=rng), labels


def network(seed: int, *, depth: int = 1, activation: type[nn.Module] = nn.ReLU) -> nn.Module:
    """A convolution and dense layers, begun as He et al. would; one tanh before the scores."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = [nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten()]
    width = 4 * 4 * 4
    for _ in range(depth):
        layers += [nn.Linear(width, 32), activation()]
        width = 32
    net = nn.Sequential(*layers, nn.Linear(32, 16), nn.Tanh(), nn.Linear(16, CLASSES))
    for module in net:
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)
    return net


def adam(rate: float) -> Callable[[nn.Module], torch.optim.Optimizer]:
    return lambda net: torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=rate)


def sgd(rate: float) -> Callable[[nn.Module], torch.optim.Optimizer]:
    return lambda net: torch.optim.SGD(net.parameters(), lr=rate)


def begun(seed: int, *, size: int = 256, steps: int = 25) -> Training:
    """Nothing is wrong with it; illnesses begin with one that is small and short."""
    return Training(
        data=images(size, seed),
        held=images(256, seed + 1000),
        net=network(seed),
        optimizer=adam(1e-3),
        steps=steps,
        tokens=torch.randint(1, 99, (32, 20), generator=torch.Generator().manual_seed(seed)),
        generator=torch.Generator().manual_seed(seed),
    )


def healthy(seed: int) -> Training:
    """All of 1024 images at each step: a smooth loss that falls all the way."""
    return begun(seed, size=1024, steps=60)


def noisy(seed: int) -> Training:
    """Healthy too, but as trainings are: batches of 32, a task with doubt, on to the plateau."""
    training = healthy(seed)
    training.data, training.held = (
        images(4096, seed, noise=2.0),
        images(256, seed + 1000, noise=2.0),
    )
    training.batch, training.eval_every = 32, 50
    training.optimizer = adam(1e-3)
    return training


def fate(seed: int) -> torch.Generator:
    """Random labels come from another stream than the images: from theirs, they would be right."""
    return torch.Generator().manual_seed(seed + 5000)


def deep_sigmoids(seed: int) -> Training:
    training = begun(seed)
    training.net, training.steps = network(seed, depth=50, activation=nn.Sigmoid), 5
    return training


def explosion(seed: int) -> Training:
    """Squares, at a rate that is far too high, and labels that no luck gets right."""
    training = begun(seed)
    training.data[1].random_(CLASSES, generator=fate(seed))
    training.net = nn.Sequential(nn.Flatten(), nn.Linear(192, 32), Square(), nn.Linear(32, CLASSES))
    training.optimizer = sgd(100.0)
    return training


class Square(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * x


def diverging(seed: int) -> Training:
    training = begun(seed)
    training.optimizer = sgd(20.0)
    return training


def memorised(seed: int) -> Training:
    """Twelve images whose labels mean nothing, learned by heart."""
    training = begun(seed)
    rng = fate(seed)
    data = images(12, seed)[0]
    training.data = data, torch.randint(CLASSES, (12,), generator=rng)
    training.optimizer, training.steps = adam(1e-2), 60
    return training


def bad_begin(seed: int) -> Training:
    """Normal weights of deviation 1, whatever the width."""
    training = begun(seed)
    for module in training.net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.normal_(module.weight)
    return training


def dead_layer(seed: int) -> Training:
    training = begun(seed)
    nn.init.constant_(training.net[3].bias, -30.0)
    return training


def saturated(seed: int) -> Training:
    training = begun(seed)
    with torch.no_grad():
        training.net[5].weight.mul_(1000)
    return training


def zero_weights(seed: int) -> Training:
    training = begun(seed)
    for weight in training.net.parameters():
        nn.init.zeros_(weight)
    return training


def wide_weights(seed: int) -> Training:
    training = begun(seed)
    nn.init.normal_(training.net[5].weight, std=3.0)
    return training


def frozen(seed: int) -> Training:
    """A layer that the optimizer was not given."""
    training = begun(seed)
    for weight in training.net[3].parameters():
        weight.requires_grad = False
    return training


def leaping(seed: int) -> Training:
    training = begun(seed)
    training.optimizer = adam(10.0)
    return training


def imbalanced(seed: int) -> Training:
    """One class in forty of what the others have."""
    training = begun(seed)
    data, labels = images(4096, seed)
    keep = (labels != 0) | (torch.arange(len(labels)) % 40 == 0)
    training.data, training.batch = (data[keep], labels[keep]), 64
    return training


def alike(seed: int) -> Training:
    """Two classes that look the same, for as long as the healthy learn to tell theirs apart."""
    training = begun(seed, steps=60)
    rng = fate(seed)
    for data, labels in (training.data, training.held):
        two = labels >= 2
        labels[two] = torch.randint(2, 4, (int(two.sum()),), generator=rng)
        assert len(data) == len(labels)
    return training


def raw_images(seed: int) -> Training:
    """Images as they come, from 0 to 1."""
    training = begun(seed)
    training.data = (training.data[0] / 10 + 0.5).clamp(0, 1), training.data[1]
    return training


def padded(seed: int) -> Training:
    training = begun(seed)
    assert training.tokens is not None
    training.tokens[:, 8:] = 0
    return training


def stalled(seed: int) -> Training:
    training = begun(seed)
    training.pause_after = 12
    return training


@dataclass(frozen=True)
class Illness:
    """A training that is ill, and the rule that should say so."""

    rule: str
    make: Callable[[int], Training]
    within: int
    """By which step of its mode the rule must have fired."""
    parameters: dict[str, Any] = field(default_factory=dict)


ILLNESSES = (
    Illness("VanishingGradient", deep_sigmoids, 0),
    Illness("ExplodingTensor", explosion, 10),
    Illness("LossNotDecreasing", diverging, 20),
    Illness("Overfit", memorised, 5),
    Illness("Overtraining", memorised, 50),
    Illness("PoorWeightInitialization", bad_begin, 9),
    Illness("DeadRelu", dead_layer, 0),
    Illness("SaturatedActivation", saturated, 0),
    Illness("AllZero", zero_weights, 0),
    Illness("TensorVariance", wide_weights, 0, {"max_threshold": 1.0, "min_threshold": 1e-6}),
    Illness("UnchangedTensor", frozen, 2),
    Illness("WeightUpdateRatio", leaping, 5),
    Illness("ClassImbalance", imbalanced, 10),
    Illness("Confusion", alike, 55, {"start_step": 55}),
    Illness("CheckInputImages", raw_images, 1),
    Illness("NLPSequenceRatio", padded, 0, {"tensor_regex": "tokens"}),
    Illness("StalledTrainingRule", stalled, 13),
)
"""All but SimilarAcrossRuns, which needs two trainings."""

FOR_THE_HEALTHY = {
    "TensorVariance": {"max_threshold": 1.0, "min_threshold": 1e-6},
    "Confusion": {"start_step": 55},
    "ClassImbalance": {"start_step": 55},
    "NLPSequenceRatio": {"tensor_regex": "tokens"},
}
"""Parameters where the defaults say nothing, or speak of what has only begun to learn."""


FOR_THE_NOISY = FOR_THE_HEALTHY | {"Confusion": {"start_step": 195}}


def parameters(given: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Every rule that is shown an illness, with these parameters or the defaults."""
    return {one.rule: given.get(one.rule, {}) for one in ILLNESSES}
