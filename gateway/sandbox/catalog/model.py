"""A model: its input schema, price and kind of output, and the format of its validation errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal
from typing import Any, Literal

from gateway.sandbox import errors
from gateway.sandbox.schema import Schema, defaults, violations

_DOLLARS_PER_CREDIT = Decimal("0.0625")
_MILLI = Decimal("0.001")


@dataclass(frozen=True)
class Model:
    """A model of the table in `models.py`."""

    slug: str
    output_type: Literal["image", "video"]
    operation_type: str
    dialect: Literal["pydantic", "jsonschema"]
    price: Decimal
    """The list price in credits per image, or per second of video."""

    input_schema: Schema
    pricing_description: str = ""
    """The words with which an estimate describes the price of a metered model, instead of computing it."""

    price_by: tuple[str, Mapping[str, Decimal]] | None = None
    """The parameter on which the price depends, and the price for each of its values, in place of `price`."""

    discount: Decimal = Decimal(0)
    """The discount in percent. Estimates and charges are net."""

    listed: bool = True
    """Whether `GET /models` lists it: Higgsfield can call more models than it lists."""

    job_type: str = ""
    """The type of the jobs in a v1 job set; empty for v2 models."""

    def check(self, parameters: Any) -> None:
        """Raise the ApiError that Higgsfield would return for an invalid input of this model."""
        found = list(violations(parameters, self.input_schema))
        if found:
            raise (errors.as_pydantic if self.dialect == "pydantic" else errors.as_jsonschema)(found)

    def with_defaults(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return the input with the defaults of the omitted parameters."""
        return defaults(self.input_schema) | parameters

    def outputs(self, parameters: dict[str, Any]) -> int:
        """Return how many files this input produces."""
        whole = self.with_defaults(parameters)
        return int(whole.get("batch_size", whole.get("count", 1)))

    def cost(self, parameters: dict[str, Any]) -> Decimal:
        """Return the net price of this input in credits."""
        return (self._list_price(parameters) * (100 - self.discount) / 100).quantize(_MILLI)

    def estimate(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return the response body of the estimate endpoint."""
        if self.pricing_description:
            return {"type": "description", "pricing_description": self.pricing_description}
        credits = self.cost(parameters)
        net: dict[str, Any] = {"type": "estimate", **_amounts(credits)}
        if not self.discount:
            return net
        taken_off = (self._list_price(parameters) - credits).quantize(_MILLI)
        return net | {"discount": {"percentage": f"{self.discount:.2f}", **_amounts(taken_off)}}

    def _list_price(self, parameters: dict[str, Any]) -> Decimal:
        whole, price = self.with_defaults(parameters), self.price
        if self.price_by is not None:
            name, prices = self.price_by
            price = prices[str(whole[name])]
        seconds = Decimal(whole.get("duration", 5) if self.output_type == "video" else 1)
        return price * seconds * self.outputs(parameters)

    def entry(self, with_schema: bool) -> dict[str, Any]:
        """Return the model's entry in the response of `GET /models`."""
        row = {"slug": self.slug, "output_type": self.output_type, "operation_type": [self.operation_type]}
        return {**row, "input_schema": self.input_schema} if with_schema else row


def _amounts(credits: Decimal) -> dict[str, str]:
    usd = (credits * _DOLLARS_PER_CREDIT).quantize(_MILLI, rounding=ROUND_UP)
    return {"credits": str(credits), "usd": str(usd)}
