"""Products in, categories out; in threads and in asyncio alike, over a fake that needs no socket."""

import asyncio
import itertools
import threading

import grpc
import pytest

from aisle_client import (
    AsyncCategorizer,
    AsyncInferenceClient,
    Categorizer,
    ClientOptions,
    InferenceClient,
    InvalidArgumentError,
    InvalidInputError,
    MissingInputError,
    NotFoundError,
    PictureError,
    PictureRefusedError,
    Product,
    ProtocolError,
    RetryPolicy,
    ServerError,
    UnavailableError,
)
from aisle_client.products import Question, batches
from tests.support.fake_triton import LABELS, FakeAsyncTransport, FakeTransport, FakeTriton, Refusal

ONCE = ClientOptions(retry=RetryPolicy(max_attempts=1))
MESSAGE_TOO_LARGE = Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "Sent message larger than max (9 vs. 4)")


class Blocking:
    """An `AsyncCategorizer` that answers like the sync one, so that both are held to the same tests."""

    def __init__(self, categorizer):
        self._categorizer = categorizer

    def categorize(self, *arguments, **named):
        return asyncio.run(self._categorizer.categorize(*arguments, **named))

    def categorize_batch(self, *arguments, **named):
        return asyncio.run(self._categorizer.categorize_batch(*arguments, **named))

    def categorize_many(self, *arguments, **named):
        async def collect():
            return [outcome async for outcome in self._categorizer.categorize_many(*arguments, **named)]

        return iter(asyncio.run(collect()))


@pytest.fixture
def fake():
    """A server without a socket."""
    return FakeTriton()


@pytest.fixture(params=["threads", "asyncio"])
def make_categorizer(request, fake):
    """Makes a categorizer over the fake: the sync one, or the async one behind a blocking face."""

    def make(**settings):
        if request.param == "threads":
            return Categorizer(InferenceClient(ONCE, transport=FakeTransport(fake)), **settings)
        return Blocking(AsyncCategorizer(AsyncInferenceClient(ONCE, transport=FakeAsyncTransport(fake)), **settings))

    return make


@pytest.fixture
def categorizer(make_categorizer):
    """A categorizer over the fake with default settings."""
    return make_categorizer()


def _inputs(request):
    return {tensor.name: list(tensor.shape) for tensor in request.inputs}


def test_a_title(categorizer, fake):
    """A title alone is sent alone: the picture is absent from the request, not empty."""
    answer = categorizer.categorize(title="Blue cotton shirts")
    assert answer.best.path == ("Apparel", "Topwear", "Shirts")
    assert answer.best.confidence == pytest.approx(0.709375)
    assert answer.used == ("title",)
    assert (answer.model, answer.version) == ("product_categorizer", "1")
    assert _inputs(fake.requests[0]) == {"TITLE": [1, 1]}


def test_a_picture(categorizer, fake):
    """A picture alone is sent alone, its bytes untouched."""
    answer = categorizer.categorize(image=b"\x04 picture\x00")
    assert answer.best.label == LABELS[4]
    assert answer.used == ("image",)
    assert _inputs(fake.requests[0]) == {"IMAGE": [1, 1]}
    assert fake.requests[0].raw_input_contents[0][4:] == b"\x04 picture\x00"


def test_both(categorizer, fake):
    """A title and a picture go in one request."""
    assert categorizer.categorize("watches", b"\x00").used == ("title", "image")
    assert _inputs(fake.requests[0]) == {"TITLE": [1, 1], "IMAGE": [1, 1]}


@pytest.mark.parametrize("title", [None, "", " \n\u00a0"])
def test_neither(categorizer, fake, title):
    """Neither a title nor a picture, or a blank title alone, is an error before any call."""
    with pytest.raises(MissingInputError):
        categorizer.categorize(title=title)
    assert fake.methods == []


@pytest.mark.parametrize("title", [b"bytes", 5, "lone \ud800 surrogate"])
def test_a_title_that_is_no_text(categorizer, fake, title):
    """A title is text; bytes, numbers and broken Unicode are refused before any call."""
    with pytest.raises(InvalidInputError, match="title"):
        categorizer.categorize(title=title)
    assert fake.methods == []


def test_as_many_as_asked_for(make_categorizer):
    """An answer holds the best `top_k`, most likely first."""
    answer = make_categorizer(top_k=3).categorize(title="handbags")
    confidences = [category.confidence for category in answer.alternatives]
    assert len(confidences) == 3
    assert confidences == sorted(confidences, reverse=True)
    with pytest.raises(ValueError, match="top_k"):
        answer.top(4)


def test_request_ids(categorizer, fake):
    """Each request has an id of its own, or the caller's."""
    first, second = categorizer.categorize("a"), categorizer.categorize("a")
    assert first.request_id == fake.requests[0].id != second.request_id
    assert len(first.request_id) >= 16
    assert categorizer.categorize("a", request_id="mine").request_id == "mine"


def test_a_refused_picture(categorizer):
    """A picture that the server cannot read is its refusal, with the id and the reason."""
    with pytest.raises(PictureRefusedError) as caught:
        categorizer.categorize(image=b"BROKEN", request_id="r3")
    assert caught.value.reason == "the picture cannot be read: the file is damaged"
    assert caught.value.request_id == "r3"


def test_an_unknown_model(make_categorizer):
    """A model that the server does not have is not found."""
    with pytest.raises(NotFoundError, match="'nonsense' is not found"):
        make_categorizer(model="nonsense").categorize("a")


def test_a_model_that_does_not_categorize(make_categorizer):
    """A model without classes in its answer is a protocol error that says what came."""
    with pytest.raises(ProtocolError, match="came as nothing"):
        make_categorizer(model="identity").categorize("a")


def test_a_top_of_nothing(make_categorizer):
    """At least one category is asked for."""
    with pytest.raises(InvalidInputError, match="top_k"):
        make_categorizer(top_k=0)


def test_a_batch_is_one_request(categorizer, fake):
    """Rows with and without a picture go in one request, empty where missing."""
    products = [Product("shirts"), Product(image=b"\x03"), Product("watches", b"\x00")]
    outcomes = categorizer.categorize_batch(products)
    assert [outcome.categorization.best.name for outcome in outcomes] == ["Shirts", "Watches", "Watches"]
    assert [outcome.categorization.used for outcome in outcomes] == [("title",), ("image",), ("title", "image")]
    assert [outcome.product for outcome in outcomes] == products
    assert len(fake.requests) == 1
    assert _inputs(fake.requests[0]) == {"TITLE": [3, 1], "IMAGE": [3, 1]}


def test_an_input_that_no_row_has(categorizer, fake):
    """An input that is missing from every row is absent from the request."""
    categorizer.categorize_batch([Product("a"), Product("b")])
    assert _inputs(fake.requests[0]) == {"TITLE": [2, 1]}


def test_an_empty_batch(categorizer, fake):
    """No products are no request and no outcomes."""
    assert categorizer.categorize_batch([]) == []
    assert fake.methods == []


@pytest.mark.parametrize("culprits", [{0}, {7}, {3, 4}, set(range(8)), set()], ids=str)
def test_culprits_are_found(categorizer, culprits):
    """The server refuses a request as a whole; the rows that are to blame get its refusal, the others their answer."""
    products = [Product(image=b"BROKEN" if row in culprits else b"\x01") for row in range(8)]
    outcomes = categorizer.categorize_batch(products)
    assert {row for row, outcome in enumerate(outcomes) if outcome.error} == culprits
    for row, outcome in enumerate(outcomes):
        assert isinstance(outcome.error, InvalidArgumentError) == (row in culprits)
        assert (outcome.categorization is None) == (row in culprits)


def test_few_requests_find_a_culprit(categorizer, fake):
    """One bad picture among 64 costs two requests for each halving, not one for each row."""
    outcomes = categorizer.categorize_batch([Product(image=b"BROKEN" if row == 40 else b"\x01") for row in range(64)])
    assert [outcome.error is not None for outcome in outcomes].index(True) == 40
    assert len(fake.requests) == 1 + 2 * 6


def test_a_row_that_breaks_the_server(categorizer):
    """A row on which the server fails is that row's error; the others are answered."""
    outcomes = categorizer.categorize_batch([Product("shirts"), Product(image=b"CRASH"), Product("watches")])
    assert [type(outcome.error) for outcome in outcomes] == [type(None), ServerError, type(None)]


def test_a_broken_server(categorizer):
    """A server that fails on every row is broken, which is no row's error."""
    with pytest.raises(ServerError):
        categorizer.categorize_batch([Product(image=b"CRASH")] * 3)


def test_too_large_a_request_is_halved(categorizer, fake):
    """A request over the message limit is asked in parts."""
    fake.refusals = [MESSAGE_TOO_LARGE]
    outcomes = categorizer.categorize_batch([Product("shirts")] * 4)
    assert all(outcome.error is None for outcome in outcomes)
    assert [len(request.raw_input_contents) for request in fake.requests] == [1, 1]


def test_rows_that_cannot_be_sent(categorizer, fake, tmp_path):
    """A row whose picture is not there, or that has nothing, is an error in its place; no server is bothered with it."""
    outcomes = categorizer.categorize_batch([Product(image=tmp_path / "no.jpg"), Product("shirts"), Product(" ")])
    assert [type(outcome.error) for outcome in outcomes] == [PictureError, type(None), MissingInputError]
    assert _inputs(fake.requests[0]) == {"TITLE": [1, 1]}


def test_an_error_in_a_products_place(categorizer):
    """Who reads products from a file may pass an error for one that is not readable; it keeps its place."""
    error = InvalidInputError("line 3 is malformed")
    outcomes = list(categorizer.categorize_many([Product("shirts"), error, Product("watches")]))
    assert [outcome.error for outcome in outcomes] == [None, error, None]


def test_many_keep_their_order(categorizer, fake):
    """A stream of products comes back in its order, in requests of the given size."""
    titles = [f"number {number} {('shirts', 'watches')[number % 2]}" for number in range(50)]
    outcomes = list(categorizer.categorize_many(map(Product, titles), batch_size=8, in_flight=3))
    assert [outcome.product.title for outcome in outcomes] == titles
    assert {outcome.categorization.best.name for outcome in outcomes[::2]} == {"Shirts"}
    assert sorted(request.inputs[0].shape[0] for request in fake.requests) == [2, 8, 8, 8, 8, 8, 8]


def test_an_unreachable_server_ends_the_stream(categorizer, fake):
    """A failure that is no row's ends the stream; what came before is good."""
    fake.refusals = [Refusal(grpc.StatusCode.UNAVAILABLE, "failed to connect")]
    with pytest.raises(UnavailableError):
        list(categorizer.categorize_many(map(Product, "ab"), batch_size=1, in_flight=1))


def test_a_stream_reads_no_further_than_it_flies(fake):
    """An endless stream is read only as far as the requests under way: memory is bounded."""
    categorizer = Categorizer(InferenceClient(ONCE, transport=FakeTransport(fake)))
    read = itertools.count()
    outcomes = categorizer.categorize_many(
        (Product(f"title {next(read)}") for _ in itertools.count()), batch_size=4, in_flight=2
    )
    for _ in range(4):
        next(outcomes)
    outcomes.close()
    assert next(read) == 8


async def test_an_async_stream_reads_no_further_than_it_flies(fake):
    """The same holds in asyncio, and a stream that is left cancels what is under way."""
    categorizer = AsyncCategorizer(AsyncInferenceClient(ONCE, transport=FakeAsyncTransport(fake)))
    read = itertools.count()
    outcomes = categorizer.categorize_many(
        (Product(f"title {next(read)}") for _ in itertools.count()), batch_size=4, in_flight=2
    )
    for _ in range(4):
        await anext(outcomes)
    await outcomes.aclose()
    assert next(read) == 8


def test_large_pictures_make_small_requests():
    """Requests are cut by bytes as well as by rows, so that large photographs take no more memory than small ones."""
    photograph = Product(image=bytes(12 * 2**20))
    assert [len(rows) for rows in batches([photograph] * 5, Question(), size=64)] == [2, 2, 1]


def test_several_requests_fly_at_once(fake):
    """As many requests are under way as were allowed, and no more."""
    categorizer = Categorizer(InferenceClient(ONCE, transport=FakeTransport(fake)))
    fake.hold.clear()
    outcomes = []
    products = map(Product, ["shirts"] * 10)
    thread = threading.Thread(
        target=lambda: outcomes.extend(categorizer.categorize_many(products, batch_size=1, in_flight=3))
    )
    thread.start()
    assert fake.reached(3)
    assert len(fake.methods) == 3
    fake.hold.set()
    thread.join(10)
    assert len(outcomes) == 10


def test_threads_share_one(fake):
    """A categorizer is used from many threads at once, and each gets its own answer."""
    categorizer = Categorizer(InferenceClient(ONCE, transport=FakeTransport(fake)))
    answers = {}

    def ask(number):
        word = ("shirts", "watches", "handbags", "tshirts")[number % 4]
        answers[number] = (word, categorizer.categorize(f"{number} {word}").best.name.casefold())

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(answers) == 24
    assert all(asked == answered for asked, answered in answers.values())


async def test_a_cancelled_task_leaves_the_others(fake):
    """Cancelling one caller's task disturbs nobody else's."""
    categorizer = AsyncCategorizer(AsyncInferenceClient(ONCE, transport=FakeAsyncTransport(fake)))
    fake.hold.clear()
    tasks = [asyncio.create_task(categorizer.categorize("shirts")) for _ in range(3)]
    await asyncio.to_thread(fake.reached, 3)
    tasks[1].cancel()
    fake.hold.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(answer, asyncio.CancelledError) for answer in answers] == [False, True, False]


def test_a_client_that_was_lent_stays_open(fake):
    """A categorizer closes the connection it made, and leaves the one it was given."""
    transport = FakeTransport(fake)
    with Categorizer(InferenceClient(ONCE, transport=transport)) as categorizer:
        categorizer.categorize("shirts")
    assert not transport.is_closed
    assert repr(categorizer) == "Categorizer('127.0.0.1:8001', model='product_categorizer')"


def test_a_shop_of_titles_is_sent_titles(make_categorizer, fake):
    """A model that takes TITLE alone is sent the title alone, and the answer says that it was all that was used."""
    fake.inputs = ["TITLE"]
    categorizer = make_categorizer()
    answer = categorizer.categorize("blue shirts", b"\x01", texts={"brand": "Alder"})
    assert answer.used == ("title",)
    assert _inputs(fake.requests[-1]) == {"TITLE": [1, 1]}
    with pytest.raises(MissingInputError, match="no title was given, and product_categorizer takes nothing else"):
        categorizer.categorize(image=b"\x01")
    outcomes = categorizer.categorize_batch([Product("shirts"), Product(image=b"\x01")])
    assert [type(outcome.error) for outcome in outcomes] == [type(None), MissingInputError]
    assert len(fake.requests) == 2


def test_further_texts_are_sent_to_a_model_that_takes_them(make_categorizer, fake):
    """A description goes to a model with such an input, alone or with others, in any case of its name; another text does not."""
    fake.inputs = ["DESCRIPTION", "TITLE"]
    categorizer = make_categorizer()
    answer = categorizer.categorize("a gift", texts={"Description": "for shirts", "price": "\udcff"})
    assert answer.used == ("title", "description")
    assert _inputs(fake.requests[-1]) == {"TITLE": [1, 1], "DESCRIPTION": [1, 1]}
    outcomes = categorizer.categorize_batch(
        [Product(texts={"description": "watches"}), Product("shirts"), Product(texts={"description": 3}), Product(" ")]
    )
    assert [outcome.categorization and outcome.categorization.used for outcome in outcomes] == [
        *(("description",), ("title",)),
        *(None, None),
    ]
    assert "a description came as int; expected str" in str(outcomes[2].error)
    assert "neither a title nor" in str(outcomes[3].error)


def test_a_server_that_hides_its_configuration_is_sent_what_is_usual(make_categorizer, fake):
    """Where the model's inputs are not told, title and picture are sent, and other texts are not."""
    fake.config_refusal = Refusal(grpc.StatusCode.PERMISSION_DENIED, "not for you")
    answer = make_categorizer().categorize("shirts", b"\x01", texts={"description": "red"})
    assert answer.used == ("title", "image")
