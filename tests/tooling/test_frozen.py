"""Values are compared and hashed by their fields, and mypy lets no one change them."""

from gateway.frozen import frozen


@frozen
class Point:
    x: int
    y: int = 0


def test_values_with_equal_fields_are_equal() -> None:
    assert {Point(1): "one"}[Point(1, 0)] == "one"
    assert Point(1) != Point(2)


def test_mypy_refuses_to_change_a_value() -> None:
    point = Point(1)
    point.x = 2  # type: ignore[misc]  # mypy reports this comment if it does not refuse the line
    assert not hasattr(point, "__dict__")
