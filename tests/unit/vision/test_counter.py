import pytest
import torch

from stocktake.errors import SettingsError
from stocktake.vision import counter as counters

TINY = "test_efficientnet"


def tiny(**options):
    backbone = counters.make_backbone(TINY, side_px=32)
    return backbone, counters.make_counter(backbone, "softmax", max_count=3)


def test_a_counter_says_log_probs_of_every_count():
    _, counter = tiny()
    log_probs = counter.eval()(torch.zeros(2, 3, 32, 32))

    assert log_probs.shape == (2, 4)
    assert torch.allclose(log_probs.exp().sum(dim=1), torch.ones(2), atol=1e-5)


def test_a_timm_name_is_short_for_the_timm_part():
    whole = counters.make_backbone({"name": "timm", "model": TINY}, side_px=32)

    assert counters.make_backbone(TINY, side_px=32).features == whole.features


@pytest.mark.parametrize("name", ["resnet5", "tf_efficientnet_litte0"])
def test_an_unknown_backbone_is_refused_with_the_nearest_name(name):
    with pytest.raises(SettingsError, match=f"no backbone '{name}'; did you mean"):
        counters.make_backbone(name)


def test_a_name_near_to_nothing_is_refused_without_a_thousand_names():
    with pytest.raises(SettingsError) as caught:
        counters.make_backbone("qqqqqqqqqq")
    assert len(str(caught.value)) < 300


def test_an_unknown_head_is_refused():
    backbone, _ = tiny()

    with pytest.raises(SettingsError, match="did you mean 'softmax'"):
        counters.make_counter(backbone, "sotfmax", max_count=3)


def test_an_option_of_a_timm_model_is_checked():
    with pytest.raises(SettingsError, match="no option 'widht'"):
        counters.make_backbone({"name": TINY, "widht": 3})


def test_frozen_stages_stay_as_they_are_in_training():
    backbone, counter = tiny()
    frozen = counters.frozen_names(backbone, stages=2)
    counter.freeze(frozen)
    before = {k: v.clone() for k, v in counter.backbone.state_dict().items()}
    optimizer = torch.optim.SGD(
        [p for p in counter.parameters() if p.requires_grad], lr=0.1, weight_decay=0.1
    )
    counter.train()
    counter(torch.randn(4, 3, 32, 32)).square().sum().backward()
    optimizer.step()
    after = counter.backbone.state_dict()

    owners = {name.rpartition(".")[0] for name in frozen}
    for key, value in before.items():
        is_frozen = key.rpartition(".")[0] in owners
        assert torch.equal(value, after[key]) == is_frozen, key


def test_minus_one_freezes_the_whole_backbone():
    backbone, counter = tiny()
    counter.freeze(counters.frozen_names(backbone, stages=-1))
    counter.train()
    groups = counters.parameter_groups(counter, backbone_lr_scale=1.0)

    assert sum(p.numel() for g in groups for p in g["params"]) == sum(
        p.numel() for p in counter.head.parameters()
    )
    assert counter.head.training


def test_more_stages_than_there_are_is_refused():
    backbone, _ = tiny()

    with pytest.raises(SettingsError, match="frozen_stages is 99, but this backbone has"):
        counters.frozen_names(backbone, stages=99)


def test_every_parameter_is_in_one_group_and_vectors_do_not_decay():
    _, counter = tiny()
    groups = counters.parameter_groups(counter, backbone_lr_scale=0.1)
    ids = [id(p) for group in groups for p in group["params"]]

    assert sorted(ids) == sorted(id(p) for p in counter.parameters())
    for group in groups:
        is_vector = group["params"][0].ndim <= 1
        assert (group.get("weight_decay") == 0.0) == is_vector
    assert {group["lr_scale"] for group in groups} == {0.1, 1.0}
