import click
import pytest

from stocktake.cli import container


def test_the_model_lies_where_sagemaker_unpacks_it(tmp_path):
    (tmp_path / "model").mkdir()

    assert container.model_folder({"SAGEMAKER_BASE_DIR": str(tmp_path)}) == tmp_path / "model"


def test_outside_a_container_a_bundle_is_asked_for(tmp_path):
    with pytest.raises(click.UsageError, match="serve needs a BUNDLE"):
        container.model_folder({"SAGEMAKER_BASE_DIR": str(tmp_path)})


def test_variables_become_settings():
    environment = {
        "SAGEMAKER_BIND_TO_PORT": "8090",
        "SAGEMAKER_MODEL_SERVER_WORKERS": "2",
        "SAGEMAKER_MODEL_SERVER_TIMEOUT": "20",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": "6",
        "SAGEMAKER_REGION": "eu-west-1",
    }

    assert container.serve_table(environment) == {
        "host": "0.0.0.0",
        "port": 8090,
        "processes": 2,
        "answer_timeout_s": 20.0,
        "max_body_mb": 6.0,
    }
    assert container.serve_table({}) == {"host": "0.0.0.0"}


def test_a_variable_that_is_no_number_is_one_line():
    with pytest.raises(click.UsageError, match="SAGEMAKER_BIND_TO_PORT is 'http', expected a num"):
        container.serve_table({"SAGEMAKER_BIND_TO_PORT": "http"})
