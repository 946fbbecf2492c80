"""What a check found: sections of findings, each complete, as data."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to look at.

    Attributes:
        products: Ids of the products concerned, at least one.
        detail: What is the matter with them, beyond the section's title.
    """

    products: tuple[str, ...]
    detail: str


@dataclass(frozen=True, slots=True)
class Section:
    """One kind of findings.

    Attributes:
        name: Its key in the JSON.
        title: Its heading.
        explanation: What it means, and what to do about it.
        findings: All of them, what matters most first.
        counts: What is counted rather than found, such as titles by script.
    """

    name: str
    title: str
    explanation: str
    findings: list[Finding]
    counts: list[tuple[str, int]] = field(default_factory=list)

    @property
    def product_count(self) -> int:
        """Products concerned, each counted once."""
        return len({product_id for finding in self.findings for product_id in finding.products})


@dataclass(frozen=True, slots=True)
class CheckReport:
    """All that a check found.

    Attributes:
        content_hash: `Catalogue.content_hash` of the catalogue.
        products: How many products it has.
        pictures: How many of them have a picture.
        categories: How many categories they stand in.
        split: Whether a split was looked at too.
        sections: The findings, by kind.
        seconds: Wall-clock time of the check.
    """

    content_hash: str
    products: int
    pictures: int
    categories: int
    split: bool
    sections: list[Section]
    seconds: float

    def json(self) -> str:
        """Everything as JSON: no list is cut short."""
        report: dict[str, Any] = {
            "catalogue_sha256": self.content_hash,
            "products": self.products,
            "pictures": self.pictures,
            "categories": self.categories,
            "split": self.split,
            "seconds": round(self.seconds, 3),
            "sections": {
                section.name: {
                    "title": section.title,
                    "findings": [
                        {"products": list(finding.products), "detail": finding.detail} for finding in section.findings
                    ],
                    "counts": dict(section.counts),
                }
                for section in self.sections
            },
        }
        return json.dumps(report, indent=1, ensure_ascii=False) + "\n"

    def table(self) -> str:
        """A line for each section: findings, and the products concerned."""
        width = max(len(section.title) for section in self.sections)
        lines = [f"{'':<{width}}  findings  products"]
        lines += [
            f"{section.title:<{width}}  {len(section.findings):>8,}  {section.product_count:>8,}"
            for section in self.sections
        ]
        return "\n".join(lines)
