"""A check's report as one HTML file that needs nothing else: styles and small pictures are inside.

Titles, ids and categories are a stranger's text. Each piece of text passes `_text`, which escapes it, and the page's own
policy lets a browser load and run nothing at all.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from aisle_training.catalogue.catalogue import Product
from aisle_training.catalogue.checking.check_report import CheckReport, Finding, Section
from aisle_training.catalogue.thumbnails import thumbnail_url

SHOWN_FINDINGS: Final = 40  # of each section; all are in the JSON, and the page says so
SHOWN_PRODUCTS: Final = 6  # of each finding
_THUMBNAIL_SIDE: Final = 72
_SHOWN_CHARACTERS: Final = 200

_HEAD: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Catalogue check</title><style>
body { font: 15px/1.45 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1, h2 { font-weight: 600 } h2 { margin-top: 2.5rem; border-top: 1px solid #ddd; padding-top: 1rem }
table { border-collapse: collapse } td, th { padding: .15rem 1rem .15rem 0; text-align: start } td.n { text-align: end }
.finding { margin: .8rem 0; padding: .5rem .8rem; background: #f6f6f4; border-radius: 6px }
.products { display: flex; flex-wrap: wrap; gap: .8rem; margin-top: .4rem }
.product { width: 10rem; font-size: 12px; overflow-wrap: anywhere } .product small { color: #666; display: block }
img, .none { width: 72px; height: 72px; border: 1px solid #ddd; background: #fff } .none { color: #999; text-align: center }
.quiet { color: #666 }
</style></head><body>
"""


def html_report(report: CheckReport, products: Sequence[Product], split_by_id: Mapping[str, str]) -> str:
    """Write a report as HTML.

    Args:
        report: What was found.
        products: The catalogue's products.
        split_by_id: Product id -> name of its split, shown beside it; empty when there is none.

    Returns:
        The page, whole.
    """
    return "".join(_parts(report, {product.id: product for product in products}, split_by_id))


def _parts(report: CheckReport, by_id: Mapping[str, Product], split_by_id: Mapping[str, str]) -> Iterator[str]:
    yield _HEAD
    yield (
        f"<h1>Catalogue check</h1><p>{report.products:,} products in {report.categories:,} categories, "
        f"{report.pictures:,} with a picture. <span class=quiet>Content hash {report.content_hash[:16]}, "
        f"looked over in {report.seconds:.0f} s"
        f"{'' if report.split else '; no split was given, so leaks were not looked for'}.</span></p>"
    )
    yield "<table><tr><th>what</th><th>findings</th><th>products</th></tr>"
    for section in report.sections:
        yield (
            f'<tr><td><a href="#{_text(section.name)}">{_text(section.title)}</a></td>'
            f"<td class=n>{len(section.findings):,}</td><td class=n>{section.product_count:,}</td></tr>"
        )
    yield "</table>"
    for section in report.sections:
        yield from _section(section, by_id, split_by_id)
    yield "</body></html>\n"


def _section(section: Section, by_id: Mapping[str, Product], split_by_id: Mapping[str, str]) -> Iterator[str]:
    yield f'<h2 id="{_text(section.name)}">{_text(section.title)}</h2><p>{_text(section.explanation)}</p>'
    if section.counts:
        yield "<table>"
        for name, count in section.counts:
            yield f"<tr><td>{_text(name)}</td><td class=n>{count:,}</td></tr>"
        yield "</table>"
    if not section.findings:
        yield "<p class=quiet>No findings.</p>"
    elif len(section.findings) > SHOWN_FINDINGS:
        yield (
            f"<p class=quiet>The first {SHOWN_FINDINGS} of {len(section.findings):,} findings; "
            "all are in the JSON beside this page.</p>"
        )
    for finding in section.findings[:SHOWN_FINDINGS]:
        yield from _finding(finding, by_id, split_by_id)


def _finding(finding: Finding, by_id: Mapping[str, Product], split_by_id: Mapping[str, str]) -> Iterator[str]:
    yield f"<div class=finding><bdi>{_text(finding.detail)}</bdi><div class=products>"
    for product_id in finding.products[:SHOWN_PRODUCTS]:
        product = by_id.get(product_id)
        yield f"<div class=product>{_picture(None if product is None else product.picture)}"
        if product is not None:
            yield f'<div dir="auto">{_text(product.title)}</div><small dir="auto">{_text(" > ".join(product.category))}'
            yield "</small>"
        split = f", {_text(split_by_id[product_id])}" if product_id in split_by_id else ""
        yield f"<small>id <bdi>{_text(product_id)}</bdi>{split}</small></div>"
    more = len(finding.products) - SHOWN_PRODUCTS
    yield f"</div>{f'<p class=quiet>and {more:,} more</p>' if more > 0 else ''}</div>"


def _picture(path: Path | None) -> str:
    address = thumbnail_url(path, _THUMBNAIL_SIDE)
    return "<div class=none>no picture</div>" if address is None else f'<img alt="" src="{address}">'


def _text(text: str) -> str:
    """Escape a text, cut to what a card can hold."""
    shown = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
    return html.escape(shown.encode(errors="replace").decode())
