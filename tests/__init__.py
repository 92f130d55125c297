"""The tests of hookfarm. A failed assertion shows its values in shared modules as well."""

import pytest

pytest.register_assert_rewrite("tests.support", "tests.chaos", "tests.docs", "tests.examples")
