"""The little of PromQL that the tests of deploy/ understand."""

import pytest

from tests.support.promql import Selector, grouped_by, selectors


@pytest.mark.parametrize(
    ("expression", "names", "groups"),
    [
        ("up == 0", ["up"], set()),
        ("sum by (a, b) (rate(x_total[5m])) > 0.2 * sum(y_total)", ["x_total", "y_total"], {"a", "b"}),
        ("a > 1 and b unless c", ["a", "b", "c"], set()),
        ("histogram_quantile(0.5, sum by (le) (rate(x_bucket[$__rate_interval])))", ["x_bucket"], {"le"}),
        ("absent(x) or 1e5 * y", ["x", "y"], set()),
    ],
)
def test_metrics_and_groupings_are_found(expression: str, names: list[str], groups: set[str]) -> None:
    assert [selector.name for selector in selectors(expression)] == names
    assert grouped_by(expression) == groups


def test_matchers_are_found() -> None:
    expected = Selector("x", (("a", "=", "1"), ("b", "!=", "2xx"), ("c", "=~", "p|q")))
    assert selectors('sum(x{a="1", b!="2xx",c=~"p|q"})') == [expected]
