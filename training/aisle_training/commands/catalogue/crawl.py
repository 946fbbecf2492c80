"""`aisle catalogue crawl`: make a catalogue from a product API."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("url")
@click.option(
    "-o", "--output", required=True, type=click.Path(file_okay=False, path_type=Path), help="The catalogue: a folder."
)
@click.option("--api-key", envvar="AISLE_API_KEY", show_envvar=True, help="The API's key; it is written down nowhere.")
@click.option("--category", "root", help="Crawl below this category alone, by the API's id.")
@click.option(
    "--per-category", default=1000, show_default=True, type=click.IntRange(min=1), help="Products to keep of each leaf."
)
@click.option(
    "--page-size", default=50, show_default=True, type=click.IntRange(1, 1000), help="Products to ask for at a time."
)
@click.option(
    "--rate",
    default=2.0,
    show_default=True,
    type=click.FloatRange(min=0.001),
    help="Requests a second to one host, at most; its robots.txt may ask for fewer.",
)
@click.option("--allow-private-addresses", is_flag=True, help="Crawl in private networks too: for a shop of your own.")
def crawl(
    url: str,
    output: Path,
    api_key: str | None,
    root: str | None,
    per_category: int,
    page_size: int,
    rate: float,
    allow_private_addresses: bool,
) -> None:
    """Crawl a ShopStyle-style product API into a catalogue.

    URL is what /categories and /products are below, such as https://api.shopstyle.com/api/v2. Each product is committed
    with its picture as it comes: the crawl may be stopped at any time, and the same command goes on with it. A larger
    --per-category goes on, too. The catalogue can be used meanwhile.
    """
    from aisle_training.catalogue.crawling.crawl import CrawlOptions
    from aisle_training.catalogue.crawling.crawl import crawl as crawl_api
    from aisle_training.catalogue.crawling.crawl_store import CrawlStore
    from aisle_training.catalogue.crawling.product_api import ProductApi
    from aisle_training.catalogue.errors import CatalogueError
    from aisle_training.catalogue.web.errors import FetchError
    from aisle_training.catalogue.web.fetcher import Fetcher, FetchOptions

    try:
        with Fetcher(FetchOptions(requests_per_second=rate, allow_private=allow_private_addresses)) as fetcher:
            api = ProductApi(url, fetcher, api_key=api_key)
            with (
                CrawlStore(output, api.base, root) as store,
                click.progressbar(length=0, label="Categories", show_pos=True) as bar,
            ):

                def show(done: int, leaves: int) -> None:
                    bar.length = leaves
                    bar.update(done - bar.pos)

                report = crawl_api(api, store, CrawlOptions(per_category, page_size, root), progress=show)
    except (CatalogueError, FetchError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(report.catalogue.table())
    for leaf, reason in report.failed_leaves.items():
        click.echo(f"category {leaf} is not done: {reason}", err=True)
    if report.owed_pictures:
        click.echo(f"{report.owed_pictures:,} pictures could not be had just now", err=True)
    if report.failed_leaves or report.owed_pictures:
        raise click.ClickException("the crawl is not complete: give the same command again to go on")
