"""Pictures behind a column of addresses."""

from pathlib import Path

from aisle_training.catalogue.picture_downloads import DownloadedPictures
from aisle_training.catalogue.picture_sources import FoundPicture, RefusedPicture
from aisle_training.catalogue.web.fetcher import Fetcher, FetchOptions
from aisle_training.catalogue.web.retries import RetryPolicy
from tests.support.scripted_network import ScriptedNetwork, answer

MUG, CUP = "http://shop.example/mug.jpg", "http://shop.example/cup.jpg"


def download(
    folder: Path, script: list[bytes], wanted: list[str]
) -> tuple[list[FoundPicture | RefusedPicture], ScriptedNetwork]:
    """Download with one try each."""
    network = ScriptedNetwork(list(script))
    options = FetchOptions(requests_per_second=0, retries=RetryPolicy(attempts=1))
    with Fetcher(options, network=network) as fetcher:
        return list(DownloadedPictures(fetcher, folder).read(wanted)), network


def test_interrupted_download(tmp_path: Path) -> None:
    """What is there is not asked for again, and what failed is."""
    found, _ = download(tmp_path, [answer(b"mug")], [MUG])
    assert found == [FoundPicture(MUG, b"mug")]
    found, network = download(tmp_path, [answer(status=503)], [MUG, CUP])
    refused = RefusedPicture(CUP, f"{CUP} answered with status 503, expected 200")
    assert found == [FoundPicture(MUG, b"mug"), refused]
    assert network.asked == ["GET /cup.jpg HTTP/1.1"]
    found, _ = download(tmp_path, [answer(b"cup")], [CUP, MUG])
    assert found == [FoundPicture(CUP, b"cup"), FoundPicture(MUG, b"mug")]


def test_addresses(tmp_path: Path) -> None:
    """An address has one form, and what is no http or https address is refused without being asked for."""
    with Fetcher(FetchOptions(), network=ScriptedNetwork([])) as fetcher:
        pictures = DownloadedPictures(fetcher, tmp_path)
        assert pictures.resolve(" HTTP://Shop.example/a b.jpg#top") == "http://shop.example/a%20b.jpg"
        refused = pictures.resolve("file:///etc/passwd")
    assert isinstance(refused, RefusedPicture)
    assert "is not http://host/... or https://host/..." in refused.reason


def test_addresses_name_no_file(tmp_path: Path) -> None:
    """Whatever an address says, the download stays in its folder."""
    address = "http://shop.example/../../x/%2e%2e/%2fetc/passwd"
    download(tmp_path / "downloads", [answer(b"mug")], [address])
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1
    (kept,) = (path for path in (tmp_path / "downloads").rglob("*") if path.is_file())
    assert kept.read_bytes() == b"mug"
