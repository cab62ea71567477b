import pytest

from stocktake.store.objects import Refused, check_key


@pytest.mark.parametrize("key", ["bin-images/00001.jpg", "x", "a..b/c", "ünï/1.jpg"])
def test_plain_keys_pass(key):
    check_key(key)


@pytest.mark.parametrize("key", ["", "../x", "a/../../x", "/etc/passwd", "a\\b", "a\0b"])
def test_keys_that_lead_elsewhere_are_refused(key):
    with pytest.raises(Refused, match="is not a key below the source"):
        check_key(key)
