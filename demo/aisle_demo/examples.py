"""Products to try the page with: titles of our own, and pictures that `draw_examples.py` drew."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PICTURES: Final = Path(__file__).parent / "examples"


@dataclass(frozen=True, slots=True)
class Example:
    """A product to try.

    Attributes:
        title: Its title; empty when it shall be judged by its picture.
        picture: File name of its picture; None when it shall be judged by its title.
    """

    title: str = ""
    picture: str | None = None

    @property
    def path(self) -> str | None:
        """Where the picture lies."""
        return str(_PICTURES / self.picture) if self.picture else None


EXAMPLES: Final = (
    Example("Plain crew-neck T-shirt in soft teal cotton, for men", "tshirt.jpg"),
    Example("Steel wrist watch with blue dial and brown leather strap", "watch.jpg"),
    Example("Women's tan leather handbag with gold buckle", "handbag.jpg"),
    Example("", "shoe.jpg"),
    Example("", "sunglasses.jpg"),
    Example("Lightweight running shoes with a cushioned sole"),
)
