import json

import pytest

from finesight.errors import MissingDependencyError, need


def test_what_is_installed_is_imported():
    assert need("json", "reading needs it", "torch") is json


def test_what_is_not_installed_is_named_with_the_command_that_mends_it():
    text = r"drawing needs it \(No module .*'no_such_x'\): pip install 'finesight\[draw\]', please"
    with pytest.raises(MissingDependencyError, match=text):
        need("no_such_x", "drawing needs it", "draw", ", please")
