import sys

import pytest

from stocktake.engines.local import LocalEngine
from stocktake.errors import DataError, SettingsError
from stocktake.runs.folder import RunFolder
from stocktake.stages import run as driver

pytestmark = pytest.mark.usefixtures("probe_stage")


class Heard(list):
    def __call__(self, moment, stage, run):
        if moment != "tick":
            self.append((moment, stage))


def plan(tmp_path, text, *, sets=(), **more):
    file = tmp_path / "file.toml"
    file.write_text(f'folder = "{tmp_path}/runs"\n{text}')
    return driver.read_plan(file, sets=sets, **more)


def test_a_stage_runs_when_the_file_has_its_table(tmp_path):
    read = plan(tmp_path, "[probe]\nwords = 1\n[split]\n")

    assert [stage.name for stage in read.stages()] == ["probe", "split"]
    assert read.path == tmp_path / "runs" / "file"


def test_the_second_walk_skips_what_is_done(tmp_path):
    read, heard = plan(tmp_path, "[probe]\nwords = 1\n"), Heard()
    for _ in range(2):
        list(driver.run(read, LocalEngine(in_process=True), watch=heard))

    assert heard == [("start", "probe"), ("done", "probe"), ("skip", "probe")]


def test_a_source_is_looked_at_once_by_the_walk_and_once_by_the_worker(tmp_path, monkeypatch):
    """A bucket's listing may take minutes: nobody may ask for it once more."""
    looks = []
    module = sys.modules["stocktake.stages.probe"]
    monkeypatch.setattr(module, "outside", lambda settings: looks.append(1) or "", raising=False)
    read = plan(tmp_path, "[probe]\nwords = 1\n")
    list(driver.run(read, LocalEngine(in_process=True), watch=Heard()))

    assert len(looks) == 2


def test_parts_are_looked_up_once_and_only_if_something_is_to_be_made(tmp_path, monkeypatch):
    checks = []
    module = sys.modules["stocktake.stages.probe"]
    monkeypatch.setattr(module, "check", checks.append, raising=False)
    read = plan(tmp_path, "[probe]\nwords = 1\n")
    for _ in range(2):
        list(driver.run(read, LocalEngine(in_process=True), watch=Heard()))

    assert len(checks) == 1


def test_set_wins_over_the_file(tmp_path):
    read = plan(tmp_path, 'name = "a"\n[probe]\nwords = 1\n', sets=["probe.words=2", "name=b"])

    assert read.table_of("probe") == {"words": 2}
    assert read.name == "b"


def test_a_failed_stage_raises_its_own_error(tmp_path):
    read = plan(tmp_path, '[probe]\nhow = "badly"\n')

    with pytest.raises(DataError, match="a word is missing"):
        list(driver.run(read, LocalEngine(in_process=True), watch=Heard()))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[prob]\n", "'prob' is not a table; did you mean 'probe'?"),
        ("[probe]\nwrds = 1\n", "probe.wrds is not a setting; did you mean 'words'?"),
        ('[probe]\nwords = "many"\n', "probe.words must be int, got 'many'"),
        ("probe = 3\n", "probe must be a table"),
        ('name = "a/b"\n', "name must be a plain folder name"),
        ("name = 3\n", "name must be str, got 3"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path, text, said):
    with pytest.raises(SettingsError) as caught:
        plan(tmp_path, text)

    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_without_stages_says_what_to_add(tmp_path):
    with pytest.raises(SettingsError, match="add a table such as"):
        list(driver.run(plan(tmp_path, ""), LocalEngine(), watch=Heard()))


def test_training_takes_what_tuning_found_and_set_wins(tmp_path):
    text = "[tune]\n[train]\nepochs = 3\n"
    tuned = RunFolder.begin(
        tmp_path / "runs" / "file" / "tune", about={"stage": "tune"}, settings={}
    )
    tuned.artifact("best.toml").write_text("[train]\nbatch_size = 64\nepochs = 9\n")
    before = plan(tmp_path, text).table_of("train")
    tuned.close("done", result={})

    assert before == {"epochs": 3}
    assert plan(tmp_path, text).table_of("train") == {"epochs": 9, "batch_size": 64}
    assert plan(tmp_path, text, sets=["train.epochs=1"]).table_of("train")["epochs"] == 1


def test_an_input_may_come_from_another_run(tmp_path):
    read = plan(tmp_path, "[split]\n", inputs={"photos": "elsewhere/ingest"})

    assert read.job(read.stages()[0]).inputs == {"photos": "elsewhere/ingest"}


@pytest.mark.parametrize("given", ["other", "{runs}/other", "{runs}/other/ingest"])
def test_an_input_is_taken_from_a_run_by_name_or_folder(tmp_path, given):
    there = tmp_path / "runs" / "other" / "ingest"
    RunFolder.begin(there, about={"stage": "ingest"}, settings={}).close("done")
    read = plan(tmp_path, "[split]\n", inputs={"photos": given.format(runs=tmp_path / "runs")})

    assert read.job(read.stages()[0]).inputs == {"photos": str(there)}


def test_a_stage_can_say_what_it_will_take_and_writes_nothing(tmp_path, monkeypatch):
    module = sys.modules["stocktake.stages.probe"]
    said = []
    measured = lambda *, settings, run: said.append(run.path) or {"seconds": settings.words}  # noqa: E731
    monkeypatch.setattr(module, "estimate", measured, raising=False)
    read = plan(tmp_path, "[probe]\nwords = 7\n")
    (stage,) = read.stages()

    assert driver.estimate(read, stage) == {"seconds": 7}
    assert said == [read.path / "probe"] and not read.path.exists()
    list(
        driver.run(
            plan(tmp_path, "[probe]\nwords = 1\n"), LocalEngine(in_process=True), watch=Heard()
        )
    )
    driver.estimate(read, stage)
    assert not said[-1].exists(), "what other settings made is no beginning"


def test_a_stage_that_cannot_say_what_it_takes_says_so(tmp_path):
    read = plan(tmp_path, "[probe]\nwords = 7\n")

    with pytest.raises(SettingsError, match="probe cannot be estimated"):
        driver.estimate(read, *read.stages())


def test_processes_are_what_the_job_asks_a_machine_for(tmp_path):
    read = plan(tmp_path, "[train]\nprocesses = 4\n[split]\n")

    assert [read.job(stage).resources.processes for stage in read.stages()] == [1, 4]
