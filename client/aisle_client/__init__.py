"""Ask a Triton-style model server from Python: tensors in and out, or products in and categories out."""

from aisle_client.aio import AsyncInferenceClient
from aisle_client.catalogue import Progress, categorize_catalogue
from aisle_client.catalogue_file import CatalogueFile
from aisle_client.categories import Categorization, Category
from aisle_client.categorizer import AsyncCategorizer, Categorizer
from aisle_client.decisions import Decision, DecisionPolicy
from aisle_client.errors import (
    AccessDeniedError,
    CallCancelledError,
    CatalogueError,
    ClientError,
    DeadlineExceededError,
    InvalidArgumentError,
    InvalidInputError,
    MessageTooLargeError,
    MissingDependencyError,
    MissingInputError,
    NotFoundError,
    PictureError,
    PictureRefusedError,
    ProtocolError,
    RequestError,
    ResourceExhaustedError,
    ServerError,
    ServerUnreachableError,
    UnavailableError,
    UnsupportedError,
)
from aisle_client.golden import GoldenError, Replay, golden_files, replay
from aisle_client.inference import InferenceClient
from aisle_client.options import TLS, ClientOptions, RetryPolicy
from aisle_client.products import Outcome, Product
from aisle_client.responses import (
    Duration,
    InferResult,
    ModelIndex,
    ModelMetadata,
    ModelStatistics,
    RequestedOutput,
    ServerMetadata,
    TensorMetadata,
)

__all__ = [
    "TLS",
    "AccessDeniedError",
    "AsyncCategorizer",
    "AsyncInferenceClient",
    "CallCancelledError",
    "CatalogueError",
    "CatalogueFile",
    "Categorization",
    "Categorizer",
    "Category",
    "ClientError",
    "ClientOptions",
    "DeadlineExceededError",
    "Decision",
    "DecisionPolicy",
    "Duration",
    "GoldenError",
    "InferResult",
    "InferenceClient",
    "InvalidArgumentError",
    "InvalidInputError",
    "MessageTooLargeError",
    "MissingDependencyError",
    "MissingInputError",
    "ModelIndex",
    "ModelMetadata",
    "ModelStatistics",
    "NotFoundError",
    "Outcome",
    "PictureError",
    "PictureRefusedError",
    "Product",
    "Progress",
    "ProtocolError",
    "Replay",
    "RequestError",
    "RequestedOutput",
    "ResourceExhaustedError",
    "RetryPolicy",
    "ServerError",
    "ServerMetadata",
    "ServerUnreachableError",
    "TensorMetadata",
    "UnavailableError",
    "UnsupportedError",
    "categorize_catalogue",
    "golden_files",
    "replay",
]
