"""The shelf of rules: names, parameters, profiles."""

import pytest

from stocktake.debugger import rules
from stocktake.debugger.errors import RuleError

OF_SAGEMAKER = {
    "VanishingGradient": {"threshold": 1e-7},
    "Overfit": {"start_step": 0, "patience": 1, "ratio_threshold": 0.1},
    "Overtraining": {"patience_train": 5, "patience_validation": 10, "delta": 0.01},
    "PoorWeightInitialization": {
        "threshold": 10.0,
        "distribution_range": 0.001,
        "patience": 5,
        "steps": 10,
    },
    "LossNotDecreasing": {
        "use_losses_collection": True,
        "num_steps": 10,
        "diff_percent": 0.1,
        "increase_threshold_percent": 5,
    },
    "DeadRelu": {"threshold_inactivity": 1.0, "threshold_layer": 50.0},
    "AllZero": {"threshold": 100},
    "ClassImbalance": {
        "threshold_imbalance": 10,
        "threshold_misprediction": 0.7,
        "samples": 500,
        "argmax": False,
        "labels_regex": ".*labels",
        "predictions_regex": ".*predictions",
    },
    "Confusion": {
        "category_no": None,
        "labels": "labels",
        "predictions": "predictions",
        "labels_collection": "labels",
        "predictions_collection": "predictions",
        "min_diag": 0.9,
        "max_off_diag": 0.1,
    },
    "SaturatedActivation": {
        "threshold_tanh_min": -9.4999,
        "threshold_tanh_max": 9.4999,
        "threshold_sigmoid_min": -23,
        "threshold_sigmoid_max": 16.99999,
        "threshold_inactivity": 1.0,
        "threshold_layer": 50.0,
    },
    "StalledTrainingRule": {"threshold": 1800, "stop_training_on_fire": False},
    "TensorVariance": {"max_threshold": None, "min_threshold": None},
    "UnchangedTensor": {"num_steps": 3, "rtol": 1e-05, "atol": 1e-08, "equal_nan": False},
    "WeightUpdateRatio": {
        "num_steps": None,
        "large_threshold": 10.0,
        "small_threshold": 1e-8,
        "epsilon": 1e-9,
    },
    "CheckInputImages": {"threshold_mean": 0.2, "threshold_samples": 500, "channel": 1},
    "NLPSequenceRatio": {"token_values": "0", "token_thresholds_percent": "50"},
    "ExplodingTensor": {"only_nan": False},
    "SimilarAcrossRuns": {"other_trials": None},
}


@pytest.mark.parametrize("name", OF_SAGEMAKER)
def test_parameters_have_the_names_and_defaults_of_sagemaker(name):
    assert OF_SAGEMAKER[name].items() <= rules.find(name).parameters().items()


@pytest.mark.parametrize("name", OF_SAGEMAKER)
def test_every_rule_says_what_it_is_about_and_what_to_do(name):
    rule = rules.find(name)

    assert rule.about.endswith(".")
    assert rule.advice.endswith(".")
    assert rule.statistics


@pytest.mark.parametrize("name", OF_SAGEMAKER)
def test_every_profile_is_known_and_changes_parameters_that_exist(name):
    rule = rules.find(name)

    assert set(rule.profiles) <= set(rules.PROFILES)
    for profile in rules.PROFILES:
        assert set(rule.parameters(profile)) == set(rule.parameters())


def test_a_rule_is_found_by_any_spelling_and_missed_with_the_nearest():
    assert rules.find("vanishing-gradient") is rules.find("VanishingGradient")
    with pytest.raises(RuleError, match="did you mean VanishingGradient"):
        rules.find("VanishingGradients")


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("VanishingGradient", {"treshold": 1}, "did you mean 'threshold'"),
        ("VanishingGradient", {"threshold": "small"}, "must be float, got 'small'"),
        ("VanishingGradient", {"threshold": True}, "must be float, got True"),
        ("VanishingGradient", {"threshold": "nan"}, "must be float, got 'nan'"),
        ("Overfit", {"patience": 1.5}, "patience must be int, got 1.5"),
        ("Overfit", {"patience": "inf"}, "patience must be int, got 'inf'"),
        ("UnchangedTensor", {"equal_nan": "yes"}, "equal_nan must be bool, got 'yes'"),
        ("TensorVariance", {"max_threshold": "many"}, "must be float, got 'many'"),
    ],
)
def test_a_wrong_parameter_is_told_in_a_line(name, given, told):
    with pytest.raises(RuleError, match=told):
        rules.find(name).with_parameters(given)


def test_an_unknown_profile_is_told_in_a_line():
    with pytest.raises(RuleError, match="no profile 'page'; they are client, manual, 2019"):
        rules.find("Overfit").parameters("page")


def test_two_rules_of_one_name_are_refused():
    with pytest.raises(RuleError, match="two rules called Overfit"):
        rules.rule("Overfit", reads=("losses",), advice="none")(lambda view: iter(()))
