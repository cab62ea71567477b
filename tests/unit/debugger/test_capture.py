import copy
import dataclasses
import json
import logging
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounter
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

from stocktake.debugger.capture import Recorder
from stocktake.debugger.errors import DebuggerError
from stocktake.debugger.files import Reader, read
from stocktake.debugger.selection import KNOWN, USUAL, Collection, known

ALL = tuple(KNOWN)
EACH = {"train": 1}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.relu = nn.ReLU(inplace=True)
        self.fc = nn.Linear(4 * 36, 5)
        self.tanh = nn.Tanh()
        self.last = nn.Linear(5, 3)

    def forward(self, x):
        return self.last(self.tanh(self.fc(self.relu(self.conv(x)).flatten(1))))


class Loop:
    """An ordinary training loop, and a recorder on it."""

    def __init__(self, folder=None, *, model=None, optimizer=torch.optim.AdamW, seed=0, **settings):
        torch.manual_seed(seed)
        self.model = model or Net()
        self.loss = nn.CrossEntropyLoss()
        self.optimizer = optimizer(self.model.parameters(), lr=0.01)
        self.recorder = None
        if folder is not None:
            self.recorder = Recorder(folder, **({"every": EACH} | settings))
            self.recorder.watch(self.model, optimizer=self.optimizer, loss=self.loss)

    def train(self, steps, seed=1):
        generator = torch.Generator().manual_seed(seed)
        for _ in range(steps):
            x, y = torch.randn(8, 3, 8, 8, generator=generator), torch.arange(8) % 3
            self.optimizer.zero_grad()
            self.loss(self.model(x), y).backward()
            self.optimizer.step()
        return self

    def close(self):
        self.recorder.close()
        return read(self.recorder.folder)


def values(record, name, statistic="value", **more):
    return [row.value for row in record.series(name, statistic, **more).rows]


def test_three_lines_record_a_training(tmp_path):
    record = Loop(tmp_path, every={"train": 2}).train(5).close()

    assert record.steps("train") == [0, 2, 4]
    assert record.names("losses") == ["loss"]
    assert record.names("weights") == ["conv.weight", "fc.weight", "last.weight"]
    assert record.names("biases") == ["conv.bias", "fc.bias", "last.bias"]
    assert len(record.names("gradients")) == 6
    assert record.names("inputs") == ["input"]
    assert record.names("activations") == [
        f"{name}:out" for name in ("conv", "relu", "fc", "tanh", "last")
    ]
    assert record.names("activation_inputs") == ["relu:in", "tanh:in"]
    assert record.kind("tanh:in", "activation_inputs") == "Tanh"
    assert record.series("relu:out", "mean").rows[0].shape == (8, 4, 6, 6)
    assert not set(record.collections()) - set(USUAL)


def test_numbers_are_those_of_the_tensors(tmp_path):
    loop = Loop(tmp_path, collections=ALL)
    torch.manual_seed(0)
    twin = Net()
    x = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    convolved = twin.conv(x)
    out = twin(x)
    loss = nn.CrossEntropyLoss()(out, torch.arange(8) % 3)
    loss.backward()

    record = loop.train(1).close()

    def of(name, statistic="value"):
        return values(record, name, statistic) == [pytest.approx(expected, rel=1e-5, abs=1e-9)]

    expected = loss.item()
    assert of("loss")
    expected = twin.fc.weight.std(correction=0).item()
    assert of("fc.weight", "std")
    expected = twin.fc.weight.grad.abs().mean().item()
    assert of("gradient/fc.weight", "abs_mean")
    expected = x.mean().item()
    assert of("input", "mean")
    expected = convolved.min().item()
    assert expected < 0, "an inplace ReLU must not have been before us"
    assert of("relu:in", "min")
    expected = 0.0
    assert of("relu:out", "min")
    expected = 0.01
    assert of("group0/lr")
    assert record.series("labels").rows[0].values == (0, 1, 2, 0, 1, 2, 0, 1)
    assert record.series("predictions").rows[0].values == pytest.approx(out.flatten().tolist())
    assert record.series("exp_avg/fc.weight", "mean").rows


def test_the_training_is_bit_by_bit_what_it_was_without(tmp_path):
    without = Loop().train(6).model.state_dict()
    within = Loop(tmp_path, collections=ALL).train(6)
    within.close()

    for name, tensor in within.model.state_dict().items():
        assert torch.equal(tensor, without[name]), name


class Ops(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


def test_a_step_that_is_not_saved_computes_nothing_more(tmp_path):
    plain, watched = Loop(), Loop(tmp_path, collections=ALL, every={"train": 3})
    for loop in (plain, watched):
        loop.train(2)  # the second of them sends what the first one saw
    with Ops() as without:
        plain.train(1)
    with Ops() as unsaved:
        watched.train(1)
    hooks = len(watched.model.fc._forward_hooks)
    with Ops() as saved:
        watched.train(1)
    watched.close()

    assert unsaved.names == without.names
    assert hooks == 0
    assert len(saved.names) > len(without.names) + 100


def test_intervals_may_differ_by_mode_and_by_collection(tmp_path):
    collections = {
        "losses": KNOWN["losses"],
        "weights": Collection(every={"train": range(2, 6, 2)}),
    }
    loop = Loop(tmp_path, collections=collections, every={"train": 3, "eval": 2}).train(7)
    with loop.recorder.mode("eval"), torch.no_grad():
        for _ in range(5):
            loop.loss(loop.model(torch.zeros(2, 3, 8, 8)), torch.zeros(2, dtype=torch.long))
    record = loop.close()

    assert record.series("loss").steps == [0, 3, 6]
    assert record.series("fc.weight", "mean").steps == [2, 4]
    assert record.series("loss", mode="eval").steps == [0, 2, 4]


def test_modes_count_their_own_steps_and_validation_between_does_not_matter(tmp_path):
    loop = Loop(tmp_path)
    for _ in range(2):
        loop.train(2)
        loop.model.eval()
        with loop.recorder.mode("eval"), torch.no_grad():
            for _ in range(3):
                loop.model(torch.zeros(2, 3, 8, 8))
            loop.recorder.scalar("accuracy", 0.5)
        loop.model.train()
    assert loop.recorder.steps == {"train": 4, "eval": 6, "predict": 0}
    record = loop.close()

    assert record.steps("train") == [0, 1, 2, 3]
    assert record.steps("eval") == list(range(6))
    assert record.series("accuracy", mode="eval").steps == [2, 5]
    assert record.series("gradient/fc.weight", "mean").steps == [0, 1, 2, 3]
    assert not record.names("gradients", "eval")


def test_steps_can_be_counted_by_hand(tmp_path):
    model = nn.Linear(2, 1)
    with Recorder(tmp_path, every=EACH) as recorder:
        recorder.watch(model)
        for step in range(3):
            model.zero_grad()
            loss = model(torch.ones(1, 2)).sum()
            loss.backward()
            recorder.scalar("loss", loss, collection="losses")
            recorder.tensor("labels", torch.tensor([step]), collection="labels")
            recorder.step()
    record = read(tmp_path)

    assert record.series("loss").steps == [0, 1, 2]
    assert record.series("gradient/weight", "mean").steps == [0, 1, 2]
    assert values(record, "labels") == [0.0, 1.0, 2.0]


def test_a_number_after_the_update_belongs_to_its_step_and_a_tensor_to_the_next(tmp_path):
    loop = Loop(tmp_path, every={"train": 2})
    for step in range(4):
        loop.recorder.tensor("labels", torch.tensor(step), collection="labels")
        loop.train(1)
        loop.recorder.scalar("lr", float(step))
    record = loop.close()

    assert values(record, "lr") == [0.0, 2.0]
    assert values(record, "labels") == [0.0, 2.0]


def test_counting_twice_is_refused(tmp_path):
    loop = Loop(tmp_path)

    with pytest.raises(DebuggerError, match="counted by the watched optimizer"):
        loop.recorder.step()
    loop.recorder.close()


def test_accumulated_steps_have_the_mean_loss_and_the_first_activations(tmp_path):
    loop = Loop(tmp_path, collections=("losses", "activations", "inputs"))
    losses = []
    for _ in range(3):
        loss = loop.loss(loop.model(torch.randn(4, 3, 8, 8)), torch.arange(4) % 3)
        losses.append(loss.item())
        loss.backward()
    loop.optimizer.step()
    record = loop.close()

    assert values(record, "loss") == [pytest.approx(sum(losses) / 3)]
    assert record.steps("train") == [0]
    assert "relu:out" in record.names("activations")
    assert not [name for name in record.names("activations") if "#" in name]


def test_a_module_called_twice_has_two_names(tmp_path):
    class Twice(Net):
        def forward(self, x):
            return super().forward(self.relu(x) + x)

    record = Loop(tmp_path, model=Twice()).train(1).close()

    assert record.names("activations")[:3] == ["relu:out", "conv:out", "relu:out#2"]


def test_checkpointed_modules_are_seen_once(tmp_path):
    class Frugal(Net):
        def forward(self, x):
            return checkpoint(super().forward, x, use_reentrant=False)

    record = Loop(tmp_path, model=Frugal()).train(2).close()

    assert record.names("activations") == [
        f"{name}:out" for name in ("conv", "relu", "fc", "tanh", "last")
    ]


def test_a_collection_of_ones_own_finds_tensors_by_name(tmp_path):
    mine = Collection(regex=r"(^|/)fc\.weight|tanh:in", statistics=("histogram", "norm"))
    record = Loop(tmp_path, collections={"mine": mine}).train(2).close()

    assert record.names("mine") == ["tanh:in", "fc.weight", "gradient/fc.weight"]
    assert sum(record.series("fc.weight", "histogram").rows[0].values) == 720
    assert record.collections() == ["mine"]


def test_an_expression_that_finds_nothing_is_told_at_once_with_near_names(tmp_path):
    recorder = Recorder(tmp_path, collections={"mine": Collection(regex="convv.weight")})

    with pytest.raises(DebuggerError, match="'mine'.*'convv.weight'.*did you mean conv.weight"):
        recorder.watch(Net())
    recorder.close()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"collections": ("gradient",)}, "no collection 'gradient'; did you mean gradients"),
        ({"collections": {"mine": Collection()}}, "'mine' needs a regex"),
        ({"every": {"train": 0}}, "at least 1 step, got 0"),
        ({"every": {"valid": 1}}, "no mode 'valid'"),
    ],
)
def test_settings_that_cannot_be_are_one_clear_line(tmp_path, settings, said):
    with pytest.raises(DebuggerError, match=said):
        Recorder(tmp_path, **settings)


def test_a_loss_that_is_a_function_is_told_what_to_do(tmp_path):
    with pytest.raises(DebuggerError, match=r"recorder.scalar\('loss', value"):
        Recorder(tmp_path).watch(Net(), loss=nn.functional.cross_entropy)


def test_modes_and_collections_that_there_are_not_are_refused(tmp_path):
    recorder = Recorder(tmp_path)

    with (
        pytest.raises(DebuggerError, match="no mode 'evil'; did you mean eval"),
        recorder.mode("evil"),
    ):
        pass
    with pytest.raises(DebuggerError, match="no collection 'label'; did you mean labels"):
        recorder.tensor("labels", torch.ones(1), collection="label")


def test_hooks_of_others_stay_and_ours_go(tmp_path):
    loop = Loop()
    loop.model.fc.register_forward_hook(lambda module, args, output: output * 0 + 2)
    loop.recorder = Recorder(tmp_path, every=EACH)
    loop.recorder.watch(loop.model, optimizer=loop.optimizer, loss=loop.loss)
    loop.train(1)
    record = loop.close()

    assert values(record, "fc:out", "min") == values(record, "fc:out", "max") == [2.0]
    assert len(loop.model.fc._forward_hooks) == 1
    hooks = [
        hook
        for module in (*loop.model.modules(), loop.loss)
        for hook in (*module._forward_hooks, *module._forward_pre_hooks)
    ]
    assert len(hooks) == 1
    assert not loop.optimizer._optimizer_step_pre_hooks
    assert not loop.optimizer._optimizer_step_post_hooks
    loop.train(2)
    assert read(tmp_path).steps("train") == [0]


def test_a_copy_of_the_model_is_not_recorded(tmp_path):
    loop = Loop(tmp_path).train(1)
    average = copy.deepcopy(loop.model)
    average(torch.zeros(2, 3, 8, 8))
    record = loop.train(1).close()

    assert record.steps("train") == [0, 1]
    assert record.series("input", "std").rows[1].value > 0


def test_two_models_and_optimizers_have_names_and_steps_of_their_own(tmp_path):
    torch.manual_seed(0)
    paint, judge = nn.Linear(2, 2), nn.Linear(2, 1)
    first, second = (torch.optim.SGD(one.parameters(), lr=0.1) for one in (judge, paint))
    with Recorder(tmp_path, every=EACH) as recorder:
        recorder.watch(paint)
        recorder.watch(judge, optimizer=(first, second), name="judge")
        for _ in range(3):
            for optimizer in (first, second):
                optimizer.zero_grad()
                judge(paint(torch.ones(1, 2))).sum().backward()
                optimizer.step()
    record = read(tmp_path)

    assert record.steps("train") == [0, 1, 2]
    assert record.names("weights") == ["judge.weight", "weight"]
    assert record.series("gradient/judge.weight", "mean").steps == [0, 1, 2]
    assert record.names("inputs") == ["input", "judge.input"]


def test_how_much_weights_change_is_told_where_it_is_asked_for(tmp_path):
    loop = Loop(
        tmp_path,
        optimizer=torch.optim.SGD,
        collections={"weights": Collection(statistics=("update_ratio",))},
    )
    before = loop.model.fc.weight.detach().clone()
    loop.train(1)
    after = loop.model.fc.weight.detach().clone()
    record = loop.close()

    ratio = (after - before).norm() / before.norm()
    assert values(record, "fc.weight", "update_ratio") == [pytest.approx(ratio.item(), rel=1e-5)]


def test_a_resumed_run_goes_on_counting_and_tells_steps_anew(tmp_path):
    Loop(tmp_path, seed=0).train(4).close()
    resumed = Loop(tmp_path, seed=9)
    resumed.recorder.start_at(2)
    resumed.train(3)
    record = resumed.close()

    assert record.steps("train") == [0, 1, 2, 3, 4]
    fresh = Loop(tmp_path / "fresh", seed=9).train(3).close()
    assert values(record, "loss")[2:] == values(fresh, "loss")


def test_nan_gradients_are_told(tmp_path):
    loop = Loop(tmp_path)
    loop.loss(loop.model(torch.full((2, 3, 8, 8), float("nan"))), torch.tensor([0, 1])).backward()
    loop.optimizer.step()
    record = loop.close()

    assert values(record, "gradient/fc.weight", "nans") == [1.0]
    assert values(record, "input", "nans") == [1.0]


def test_what_was_seen_before_a_failure_is_written(tmp_path):
    with pytest.raises(RuntimeError, match="stop"), Loop(tmp_path).recorder as recorder:
        recorder.scalar("loss", float("nan"), collection="losses")
        raise RuntimeError("stop")

    end = json.loads((tmp_path / "end.json").read_text())
    assert (end["status"], end["error"]) == ("failed", "RuntimeError: stop")
    assert read(tmp_path).series("loss").steps == [0]


def test_what_cannot_be_computed_is_counted_and_training_goes_on(tmp_path, caplog):
    loop = Loop(tmp_path, collections=("inputs", "losses"))
    with caplog.at_level(logging.WARNING, "stocktake.debugger"):
        loop.train(1)
        loop.recorder.tensor("labels", torch.empty(3, device="meta"), collection="labels")
        loop.train(2)
        record = loop.close()

    end = json.loads((tmp_path / "end.json").read_text())
    assert len([line for line in caplog.messages if "cannot record" in line]) == 1
    assert end["lost_rows"] > 0
    assert record.series("loss").steps[-1] == 2


def test_autocast_is_seen_through(tmp_path):
    loop = Loop(tmp_path)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = loop.model(torch.ones(2, 3, 8, 8))
        loss = loop.loss(output, torch.tensor([0, 1]))
    assert output.dtype == torch.bfloat16
    loss.backward()
    loop.optimizer.step()
    record = loop.close()

    assert values(record, "loss") == [pytest.approx(loss.item())]
    assert values(record, "last:out", "mean") == [pytest.approx(output.float().mean().item())]
    assert values(record, "gradient/fc.weight", "norm") == []
    assert values(record, "gradient/fc.weight", "abs_mean")[0] > 0


def test_gradients_are_those_that_a_scaler_has_unscaled(tmp_path):
    plain = Loop(tmp_path / "plain").train(1).close()
    loop = Loop(tmp_path / "scaled")
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    x = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    scaler.scale(loop.loss(loop.model(x), torch.arange(8) % 3)).backward()
    scaler.step(loop.optimizer)
    scaler.update()
    scaled = loop.close()

    for name in plain.names("gradients"):
        assert values(scaled, name, "abs_mean") == pytest.approx(values(plain, name, "abs_mean"))


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_compiled_model_is_seen_from_outside(tmp_path, when):
    torch._dynamo.reset()
    counter = CompileCounter()
    loop = Loop()
    recorder = Recorder(tmp_path, every={"train": 2})
    compiled = torch.compile(loop.model, backend=counter, fullgraph=True)
    watched = compiled if when == "before" else loop.model
    recorder.watch(watched, optimizer=loop.optimizer, loss=loop.loss)
    plain, loop.model, loop.recorder = loop.model, compiled, recorder
    loop.train(4)
    record = loop.close()

    assert counter.frame_count == (1 if when == "before" else 2)  # with hooks and without
    assert record.series("loss").steps == [0, 2]
    assert record.names("weights") == ["conv.weight", "fc.weight", "last.weight"]
    assert len(record.names("gradients")) == 6
    assert record.names("activations") == []
    assert record.names("inputs") == (["input"] if when == "before" else [])
    assert plain.conv.weight.grad is not None


DISTRIBUTED = """
import sys, torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from stocktake.debugger.capture import Recorder
folder, rank = sys.argv[1], int(sys.argv[2])
torch.distributed.init_process_group(
    "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
torch.manual_seed(0)
model = DistributedDataParallel(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)))
optimizer, loss = torch.optim.SGD(model.parameters(), lr=0.1), nn.MSELoss()
with Recorder(folder + "/debug", every={"train": 1}) as recorder:
    recorder.watch(model, optimizer=optimizer, loss=loss)
    for step in range(3):
        optimizer.zero_grad()
        loss(model(torch.full((2, 4), float(rank + 1))), torch.ones(2, 2)).backward()
        optimizer.step()
torch.distributed.destroy_process_group()
"""


def test_each_process_of_a_distributed_training_tells_its_own(tmp_path):
    command = [sys.executable, "-c", DISTRIBUTED, str(tmp_path)]
    ranks = [subprocess.Popen([*command, str(n)], stderr=subprocess.PIPE) for n in (0, 1)]
    for one in ranks:
        _, said = one.communicate(timeout=120)
        assert one.returncode == 0, said.decode()
    reader = Reader(tmp_path / "debug")
    reader.new()
    record = read(tmp_path / "debug")

    assert reader.is_whole
    assert record.workers() == [0, 1]
    assert record.names("weights") == ["0.weight", "2.weight"]
    for worker in (0, 1):
        assert record.series("loss", worker=worker).steps == [0, 1, 2]
    assert values(record, "input", "mean", worker=1) == [2.0, 2.0, 2.0]
    name = "gradient/0.weight"
    assert values(record, name, "mean") == values(record, name, "mean", worker=1)
    assert values(record, "loss") != values(record, "loss", worker=1)


KILLED = """
import sys, time, torch
sys.path.insert(0, sys.argv[2])
from test_capture import Loop
loop = Loop(sys.argv[1], flush_s=0.2)
for step in range(10_000):
    loop.train(1)
    print(step, time.monotonic(), flush=True)
"""


def test_a_kill_costs_no_more_than_the_last_interval(tmp_path):
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(Path(__file__).parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        told = []
        while len(told) < 60 or told[-1][1] - told[0][1] < 3:
            step, at = process.stdout.readline().split()
            told.append((int(step), float(at)))
        process.send_signal(signal.SIGKILL)
        killed = time.monotonic()
    reader = Reader(tmp_path)
    steps = sorted({row.step for row in reader.new()})

    assert reader.damaged == {}
    assert reader.end is None
    assert steps == list(range(len(steps)))
    older = [step for step, at in told if at < killed - 2]
    assert len(older) > 5
    assert steps[-1] >= older[-1]


def test_a_known_collection_can_be_narrowed_to_some_names(tmp_path):
    net = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    updater = torch.optim.SGD(net.parameters(), lr=0.1)
    gradients = dataclasses.replace(known("gradients"), regex=r"1\.weight$")
    with Recorder(tmp_path, collections={"gradients": gradients}, every={"train": 1}) as recorder:
        recorder.watch(net, optimizer=updater)
        net(torch.ones(2, 3)).sum().backward()
        updater.step()

    assert read(tmp_path).names("gradients") == ["gradient/1.weight"]
