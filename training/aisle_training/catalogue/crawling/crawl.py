"""Crawl a product API, leaf by leaf and product by product."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from aisle_training.catalogue.catalogue import REPORT_NAME, Catalogue
from aisle_training.catalogue.crawling.crawl_store import CrawlStore, FailedPicture, LeafProgress
from aisle_training.catalogue.crawling.product_api import Leaf, ProductApi
from aisle_training.catalogue.errors import CatalogueError
from aisle_training.catalogue.import_report import ImportReport, report_on
from aisle_training.catalogue.picture_check import (
    CheckedPicture,
    UnreadablePictureError,
    check_picture,
    quiet_decoding,
)
from aisle_training.catalogue.picture_sources import MAX_PICTURE_BYTES
from aisle_training.catalogue.records import Record, SkippedRow, SkipReason
from aisle_training.catalogue.web.errors import FetchError

_MAX_FAILED_LEAVES = 5  # so many in a row, each with all its retries, and the server is taken to be away


@dataclass(frozen=True, slots=True)
class CrawlOptions:
    """How much is crawled.

    Attributes:
        per_category: Products to keep of each leaf, at most.
        page_size: Products to ask for at a time; 50 is the most that ShopStyle gives.
        root: The category below which is crawled; None for all.
    """

    per_category: int = 1000
    page_size: int = 50
    root: str | None = None


@dataclass(frozen=True, slots=True)
class CrawlReport:
    """How a crawl ended.

    Attributes:
        catalogue: What the catalogue holds now, of this run and of those before.
        failed_leaves: Leaves that are not done, by id, and why; the next run goes on with them.
        owed_pictures: Pictures that the next run tries again.
    """

    catalogue: ImportReport
    failed_leaves: dict[str, str]
    owed_pictures: int


def crawl(
    api: ProductApi,
    store: CrawlStore,
    options: CrawlOptions,
    *,
    progress: Callable[[int, int], None] = lambda done, leaves: None,
) -> CrawlReport:
    """Crawl, or go on with a crawl.

    Pictures that could not be had last time come first. Then each leaf is paged through until it has as many products
    as wanted or no more; asking for more products than last time goes on where that stopped. One product after the
    other is fetched with its picture, checked and committed. A leaf that fails is left for the next run.

    Args:
        api: What is crawled.
        store: The catalogue that it goes into.
        options: How much is crawled.
        progress: Called with how many leaves are done, and how many there are, after each product.

    Returns:
        How it ended; it stands in the catalogue too, as `import_report.json`.

    Raises:
        CatalogueError: The categories cannot be had, or leaf after leaf fails.
    """
    started = time.monotonic()
    failed_leaves: dict[str, str] = {}
    with quiet_decoding():
        _settle_pictures(api, store)
        if not store.leaves():
            try:
                store.add_leaves(api.leaves(options.root))
            except FetchError as error:
                raise CatalogueError(f"the categories cannot be had: {error}") from error
        leaves = store.leaves()
        failures = 0
        for done, leaf in enumerate(leaves):
            progress(done, len(leaves))
            try:
                _crawl_leaf(api, store, options, leaf, lambda done=done: progress(done, len(leaves)))  # type: ignore[misc]
                failures = 0
            except FetchError as error:
                failures += 1
                failed_leaves[leaf.leaf.id] = str(error)
                if failures >= _MAX_FAILED_LEAVES:
                    raise CatalogueError(
                        f"{failures} categories in a row cannot be had, the last because {error}; "
                        "what came is kept, and the same command goes on from here"
                    ) from error
        progress(len(leaves), len(leaves))
    report = _report(store, time.monotonic() - started)
    return CrawlReport(report, failed_leaves, len(store.owed_pictures()))


def _crawl_leaf(
    api: ProductApi, store: CrawlStore, options: CrawlOptions, begun: LeafProgress, step: Callable[[], None]
) -> None:
    """Page through a leaf from where it was left.

    Raises:
        FetchError: A page cannot be had.
    """
    if begun.is_exhausted:
        return
    leaf, offset, kept = begun.leaf, begun.next_offset, begun.kept
    # Products of other leaves and faults take up places in the pages, but not for ever: a server whose pages never end
    # is left after twice what should do.
    last_offset = 2 * (options.per_category + options.page_size)
    while kept < options.per_category and offset < last_offset:
        page = api.page(leaf, offset, options.page_size)
        for row in page.rows[: options.page_size]:
            if kept >= options.per_category:
                return
            kept += _take(api, store, leaf, row)
            offset += 1
            step()
        if not page.rows or (page.total is not None and offset >= page.total):
            store.exhaust(leaf)
            return


def _take(api: ProductApi, store: CrawlStore, leaf: Leaf, row: Record | SkippedRow) -> int:
    """Take one row of a page; return how many products it added."""
    if isinstance(row, SkippedRow):
        store.skip(row, leaf)
        return 0
    known = store.leaf_of(row.id)
    if known == leaf.id:  # the pages moved on the server while they were read
        store.pass_over(leaf)
        return 0
    if known is not None:
        detail = f"category {known} has a product of the id {row.id!r} as well"
        store.skip(SkippedRow(row.where, SkipReason.DUPLICATE_ID, detail), leaf)
        return 0
    picture, failed = (None, None) if row.picture_name is None else _picture(api, row.picture_name)
    if picture is None and not row.title:
        why = "names no picture" if failed is None else f"its picture cannot be had: {failed.reason}"
        store.skip(SkippedRow(row.where, SkipReason.NEITHER, f"it has no title, and {why}"), leaf)
        return 0
    store.add(row, leaf, picture, failed)
    return 1


def _picture(api: ProductApi, address: str) -> tuple[tuple[bytes, CheckedPicture] | None, FailedPicture | None]:
    """Fetch a picture and look at it: either it, or why there is none."""
    try:
        content = api.picture(address, MAX_PICTURE_BYTES)
        return (content, check_picture(content)), None
    except FetchError as error:
        return None, FailedPicture(address, str(error), error.is_transient)
    except UnreadablePictureError as error:
        return None, FailedPicture(address, str(error), is_transient=False)


def _settle_pictures(api: ProductApi, store: CrawlStore) -> None:
    """Try again what could not be had last time."""
    for product_id, address in store.owed_pictures():
        store.settle_picture(product_id, *_picture(api, address))


def _report(store: CrawlStore, seconds: float) -> ImportReport:
    catalogue = Catalogue.open(store.folder)
    skipped = store.skipped()
    report = report_on(
        catalogue,
        rows_read=len(catalogue) + len(skipped),
        skipped=skipped,
        unreadable=store.failed_pictures(),
        seconds=seconds,
    )
    (store.folder / REPORT_NAME).write_text(report.json(), encoding="utf-8")
    return report
