"""The server keeps to its own document: requests made from it get the answers it promises."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode

from stocktake.serve.app import Limits, make_app
from stocktake.serve.predictor import Predictor

schemathesis.checks.load_all_checks()
PROMISES = [
    schemathesis.checks.not_a_server_error,
    schemathesis.checks.status_code_conformance,
    schemathesis.checks.content_type_conformance,
    schemathesis.checks.response_schema_conformance,
]
OPERATIONS = {
    "GET": ["/execution-parameters", "/metrics", "/ping"],
    "POST": ["/invocations", "/v1/count", "/v1/heatmap"],
}


@pytest.mark.parametrize(
    ("method", "mode"),
    [
        ("GET", GenerationMode.POSITIVE),
        ("POST", GenerationMode.POSITIVE),
        ("POST", GenerationMode.NEGATIVE),
    ],
)
def test_every_answer_is_as_the_document_says(bright_bundle, method, mode):
    app = make_app(Predictor.load(bright_bundle), Limits(waiting=1000))
    api = schemathesis.openapi.from_asgi("/openapi.json", app)
    operations = [
        one
        for one in (found.ok() for found in api.get_all_operations())
        if one.method.upper() == method
    ]
    assert sorted(one.path for one in operations) == OPERATIONS[method]

    for operation in operations:

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=25 if method == "POST" else 1,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        def holds(case):
            case.validate_response(case.call(), checks=PROMISES)

        holds()
