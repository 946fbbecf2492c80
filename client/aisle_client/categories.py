"""What a product was found to be: frozen results, best first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aisle_client.errors import ProtocolError

if TYPE_CHECKING:
    from aisle_client.decisions import Decision

SEPARATOR: Final = " > "


@dataclass(frozen=True, slots=True, repr=False)
class Category:
    """One category and how sure the model is of it.

    Attributes:
        label: The whole path as the server's labels spell it: `Apparel > Topwear > Tshirts`.
        confidence: Calibrated probability, 0 to 1.
        index: The class's place in the model's output.
    """

    label: str
    confidence: float
    index: int

    @property
    def path(self) -> tuple[str, ...]:
        """The names from the root to the leaf."""
        return tuple(name.strip() for name in self.label.split(SEPARATOR))

    @property
    def name(self) -> str:
        """The leaf's name."""
        return self.path[-1]

    def __repr__(self) -> str:
        return f"Category({self.label!r}, {self.confidence:.3f})"


@dataclass(frozen=True, slots=True, repr=False)
class Categorization:
    """The answer for one product.

    Attributes:
        alternatives: The best categories, most likely first; as many as were asked for, or all when there are fewer.
        asked: How many were asked for.
        model: The model that answered.
        version: The version that ran.
        request_id: The id the request went out with; those of a batch share one.
        used: Which inputs were sent: `title`, `image`, or both.
        latency_s: From sending to having the answer; those of a batch share one.
        decision: Whether the answer may be used as it is; None where the repository has no thresholds.
    """

    alternatives: tuple[Category, ...]
    asked: int
    model: str
    version: str
    request_id: str
    used: tuple[str, ...]
    latency_s: float
    decision: Decision | None = None

    @property
    def best(self) -> Category:
        """The most likely category."""
        return self.alternatives[0]

    def top(self, k: int) -> tuple[Category, ...]:
        """Return the k most likely categories, or all when the model has fewer.

        Raises:
            ValueError: k is below 1, or more than were asked for.
        """
        if not 1 <= k <= self.asked:
            raise ValueError(f"top({k}) of an answer that holds the best {self.asked}; ask with a larger top_k")
        return self.alternatives[:k]

    def as_dict(self) -> dict[str, Any]:
        """Return the answer as plain values that JSON can hold."""
        decision = {} if self.decision is None else {"decision": self.decision.as_dict()}
        return {
            **decision,
            "best": _category_dict(self.best),
            "alternatives": [_category_dict(category) for category in self.alternatives],
            "used": list(self.used),
            "model": self.model,
            "version": self.version,
            "request_id": self.request_id,
            "latency_s": round(self.latency_s, 6),
        }

    def __repr__(self) -> str:
        decision = "" if self.decision is None else f" {self.decision.action},"
        return (
            f"Categorization({self.best.label!r}, {self.best.confidence:.3f},{decision} from {' + '.join(self.used)},"
            f" {self.model}/{self.version}, {self.latency_s * 1000:.1f} ms)"
        )


def parse_category(element: bytes) -> Category:
    """Read one element of the classification extension: `value:index:label`.

    A class without a label goes by its index. A label may hold colons.

    Raises:
        ProtocolError: Not such an element.

    Source: Triton inference protocol, classification extension.
    """
    text = element.decode("utf-8", "replace")
    value, _, rest = text.partition(":")
    index, _, label = rest.partition(":")
    try:
        return Category(label or index, float(value), int(index))
    except ValueError:
        raise ProtocolError(f"a class came as {text[:80]!r}; expected value:index:label") from None


def _category_dict(category: Category) -> dict[str, Any]:
    return {"path": list(category.path), "label": category.label, "confidence": category.confidence}
