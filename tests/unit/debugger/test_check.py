import json
import time

import pytest
from recorded import SECONDS, scalars

from stocktake.debugger import rules
from stocktake.debugger.actions import StopTraining
from stocktake.debugger.check import ASKED_BY_NAME, Check, Chosen, check
from stocktake.debugger.errors import RuleError
from stocktake.debugger.records import Record
from stocktake.debugger.rules import RULES, find, rule


def gradient(*values: float, start: int = 0, name: str = "gradient/fc") -> list:
    steps = dict(enumerate(values, start))
    return scalars(name, steps, collection="gradients", statistic="abs_mean")


@pytest.fixture
def shelf():
    """Rules put on the shelf by a test are taken off again."""
    rules.names()
    before = dict(RULES)
    yield
    RULES.clear()
    RULES.update(before)


def test_a_rule_that_finds_something_says_what_where_and_what_to_do():
    (verdict,) = check(Record(gradient(1e-3, 1e-9, 1e-9)), ["VanishingGradient"])

    assert verdict.status == "IssuesFound"
    assert (verdict.first_step, verdict.last_step, verdict.findings) == (1, 2, 2)
    assert verdict.tensors == {"gradient/fc": 2}
    assert verdict.message == verdict.first.message
    assert verdict.first.evidence == {"abs_mean": 1e-9}
    assert verdict.advice == find("VanishingGradient").advice


def test_a_rule_that_finds_nothing_says_so_and_advises_nothing():
    (verdict,) = check(Record(gradient(1e-3)), ["VanishingGradient"])

    assert (verdict.status, verdict.message, verdict.advice) == ("NoIssuesFound", "", "")
    assert (verdict.looked_at, verdict.steps) == (1, 1)


def test_a_rule_that_had_nothing_to_look_at_says_so():
    (verdict,) = check(Record(gradient(1e-3)), ["DeadRelu"])

    assert verdict.status == "NoIssuesFound"
    assert verdict.message.startswith("there was nothing to look at; it reads units_positive")


def test_without_names_every_rule_is_asked_that_can_judge_with_its_defaults():
    verdicts = check(Record(gradient(1e-3)))

    assert {one.rule for one in verdicts} == set(rules.names()) - set(ASKED_BY_NAME)
    assert {one.status for one in verdicts} == {"NoIssuesFound"}


def test_a_running_training_is_judged_step_by_step():
    record = Record(gradient(1e-3, 1e-9))
    watch = Check(record, ["VanishingGradient"])

    assert watch.update() == []  # the last step may still get rows
    assert watch.verdicts()[0].status == "InProgress"
    record.extend(gradient(1e-3, start=2))
    assert [found.step for found in watch.update()] == [1]
    assert watch.update() == []
    assert watch.verdicts()[0].status == "IssuesFound"
    record.extend(gradient(1e-9, start=3))
    assert [found.step for found in watch.update(ended=True)] == [3]
    assert watch.verdicts()[0].findings == 2


def test_the_last_train_step_is_judged_when_evaluation_has_begun():
    record = Record(gradient(1e-9))
    watch = Check(record, ["VanishingGradient"])

    assert watch.update() == []
    record.extend(scalars("loss", [1.0], mode="eval", start=SECONDS + 1))
    assert [found.step for found in watch.update()] == [0]


def test_every_worker_is_judged():
    from dataclasses import replace

    rows = gradient(1e-3) + [replace(row, worker=1) for row in gradient(1e-9)]
    (verdict,) = check(Record(rows), ["VanishingGradient"])

    assert verdict.findings == 1
    assert verdict.first.worker == 1


def test_live_and_afterwards_find_the_same():
    values = [1e-3, 1e-9, 1e-3, 1e-9, 1e-9, 1e-3]
    record = Record()
    watch = Check(record)
    for step, value in enumerate(values):
        record.extend(gradient(value, start=step) + scalars("loss", {step: 1.0}))
        watch.update()
    watch.update(ended=True)

    told = [(one.rule, one.status, one.findings, one.first) for one in watch.verdicts()]
    after = check(Record(gradient(*values) + scalars("loss", [1.0] * 6)))
    assert told == [(one.rule, one.status, one.findings, one.first) for one in after]


def test_a_rule_that_breaks_tells_its_line_and_the_others_go_on(shelf):
    @rule("Broken", reads=("gradients",), advice="None.")
    def broken(view, *, divisor: float = 0.0):
        """Breaks."""
        yield view.step / divisor

    told = {one.rule: one for one in check(Record(gradient(1e-9)), ["Broken", "VanishingGradient"])}

    assert told["Broken"].status == "Error"
    assert told["Broken"].message.startswith(
        "rule Broken failed at train step 0: ZeroDivisionError: float division by zero (test_check"
    )
    assert told["VanishingGradient"].status == "IssuesFound"


def test_a_rule_that_lacks_a_parameter_tells_which():
    (verdict,) = check(Record(gradient(1.0)), ["TensorVariance"])

    assert verdict.status == "Error"
    assert verdict.message == "TensorVariance needs max_threshold or min_threshold; give one"


def test_rules_that_found_nothing_can_be_stopped():
    watch = Check(Record(gradient(1e-9, 1e-3)), ["VanishingGradient", "DeadRelu"])
    watch.update()
    watch.stop()

    assert [one.status for one in watch.verdicts()] == ["IssuesFound", "Stopped"]


def test_one_rule_can_be_chosen_twice_under_two_names():
    rule_ = find("VanishingGradient")
    strict = Chosen(rule=rule_, parameters={"threshold": "1e-2"}, name="strict")
    record = Record(gradient(1e-3))

    assert [one.findings for one in check(record, ["VanishingGradient", strict])] == [0, 1]
    with pytest.raises(RuleError, match="two rules are called VanishingGradient"):
        check(record, ["VanishingGradient", "VanishingGradient"])


def test_parameters_are_read_before_anything_is_judged():
    with pytest.raises(RuleError, match="has no parameter 'treshold'"):
        Check(Record(), {"VanishingGradient": {"treshold": 1}})


def test_the_first_finding_alone_starts_the_actions():
    calls = []
    check(Record(gradient(1e-9, 1e-9)), ["VanishingGradient"], actions=[calls.append])

    assert [(one.rule, one.finding.step) for one in calls] == [("VanishingGradient", 0)]


def test_an_action_that_fails_is_noted_and_the_check_goes_on():
    def ring(fired):
        raise OSError("nobody is there")

    stop = StopTraining()
    (verdict,) = check(Record(gradient(1e-9, 1e-9)), ["VanishingGradient"], actions=[ring, stop])

    assert verdict.actions == ("ring failed: nobody is there", "StopTraining done")
    assert verdict.findings == 2
    assert stop.asked


@pytest.mark.parametrize("fire", [True, "true", False])
def test_a_stall_stops_the_training_only_if_asked(fire):
    stop = StopTraining()
    rules_ = {"StalledTrainingRule": {"stop_training_on_fire": fire}}
    watch = Check(Record(gradient(1e-3)), rules_, actions=[stop])
    watch.update(now=SECONDS + 3600)

    assert watch.verdicts()[0].status == "IssuesFound"
    assert stop.asked == bool(fire)


def test_a_stall_is_told_once_while_it_lasts():
    watch = Check(Record(gradient(1e-3)), ["StalledTrainingRule"])

    assert watch.update(now=SECONDS + 60) == []
    assert len(watch.update(now=SECONDS + 1900)) == 1
    assert watch.update(now=SECONDS + 2000) == []


def test_a_verdict_is_json_with_the_keys_of_sagemaker():
    (verdict,) = check(Record(gradient(1e-9)), ["VanishingGradient"])
    told = json.loads(json.dumps(verdict.as_json()))

    assert told["RuleConfigurationName"] == "VanishingGradient"
    assert told["RuleEvaluationStatus"] == "IssuesFound"
    assert told["first"]["evidence"] == {"abs_mean": 1e-9}


def test_numbers_that_json_lacks_are_texts():
    (verdict,) = check(Record(scalars("loss", [1.0] * 10 + [float("nan")])), ["LossNotDecreasing"])
    told = json.dumps(verdict.as_json(), allow_nan=False)

    assert json.loads(told)["first"]["evidence"]["loss"] == "nan"


def test_many_tensors_are_counted_and_some_named():
    rows = [row for n in range(30) for row in gradient(0.0, name=f"gradient/{n}")]
    (verdict,) = check(Record(rows), ["VanishingGradient"])

    assert verdict.findings == 30
    assert len(verdict.tensors) == 20


def test_a_step_costs_as_much_after_many_steps_as_after_few():
    """Twenty times as long a record may cost about twenty times as much, and not four hundred."""

    def seconds(steps: int) -> float:
        record = Record(scalars("loss", [1 / (1 + n) for n in range(steps)]))
        began = time.process_time()
        check(record, ["LossNotDecreasing", "Overtraining", "ExplodingTensor", "Overfit"])
        return time.process_time() - began

    short = min(seconds(500) for _ in range(3))

    assert seconds(10_000) < 100 * short
