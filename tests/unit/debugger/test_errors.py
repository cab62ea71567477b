import pytest

from stocktake.debugger.errors import DebuggerError, RecordError, RuleError


@pytest.mark.parametrize("kind", [RecordError, RuleError])
def test_everything_of_the_debugger_can_be_caught_as_one(kind):
    with pytest.raises(DebuggerError, match="what"):
        raise kind("what")
