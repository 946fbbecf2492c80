"""What the server tells of itself and of its models, as messages of the protocol.

Source: Triton inference protocol; statistics and model repository extensions.
"""

from __future__ import annotations

from collections.abc import Iterable

from aisle_protocol.generated import grpc_service_pb2 as pb
from aisle_server.inference_server import (
    ModelIndex,
    ModelMetadata,
    ModelVersionStatistics,
    ServerMetadata,
    TensorMetadata,
)
from aisle_server.statistics import BatchSnapshot, Duration, ResponseSnapshot


def server_metadata(metadata: ServerMetadata) -> pb.ServerMetadataResponse:
    """Who answers, and which extensions are spoken."""
    return pb.ServerMetadataResponse(name=metadata.name, version=metadata.version, extensions=metadata.extensions)


def model_metadata(metadata: ModelMetadata) -> pb.ModelMetadataResponse:
    """A model's versions and tensors, batch dimensions in front."""
    return pb.ModelMetadataResponse(
        name=metadata.name,
        versions=[str(version) for version in metadata.versions],
        platform=metadata.platform,
        inputs=_tensors(metadata.inputs),
        outputs=_tensors(metadata.outputs),
    )


def repository_index(models: Iterable[ModelIndex]) -> pb.RepositoryIndexResponse:
    """Every model and its state; a model that was never loaded is a name alone."""
    return pb.RepositoryIndexResponse(
        models=[
            pb.RepositoryIndexResponse.ModelIndex(
                name=model.name,
                version="" if model.version is None else str(model.version),
                state=model.state.value,
                reason=model.reason,
            )
            for model in models
        ]
    )


def statistics(rows: Iterable[ModelVersionStatistics]) -> pb.ModelStatisticsResponse:
    """The figures of model versions."""
    return pb.ModelStatisticsResponse(model_stats=[_model_statistics(row) for row in rows])


def _tensors(tensors: Iterable[TensorMetadata]) -> list[pb.ModelMetadataResponse.TensorMetadata]:
    return [
        pb.ModelMetadataResponse.TensorMetadata(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        for tensor in tensors
    ]


def _model_statistics(row: ModelVersionStatistics) -> pb.ModelStatistics:
    snapshot = row.snapshot
    return pb.ModelStatistics(
        name=row.name,
        version=str(row.version),
        last_inference=snapshot.last_inference_ms,
        inference_count=snapshot.inference_count,
        execution_count=snapshot.execution_count,
        inference_stats=pb.InferStatistics(
            success=_duration(snapshot.success),
            fail=_duration(snapshot.fail),
            queue=_duration(snapshot.queue),
            compute_input=_duration(snapshot.compute_input),
            compute_infer=_duration(snapshot.compute_infer),
            compute_output=_duration(snapshot.compute_output),
            cache_hit=_duration(snapshot.cache_hit),
            cache_miss=_duration(snapshot.cache_miss),
        ),
        batch_stats=[_batch(rows, batch) for rows, batch in snapshot.batches.items()],
        response_stats={str(index): _response(response) for index, response in snapshot.responses.items()},
    )


def _batch(rows: int, batch: BatchSnapshot) -> pb.InferBatchStatistics:
    return pb.InferBatchStatistics(
        batch_size=rows,
        compute_input=_duration(batch.compute_input),
        compute_infer=_duration(batch.compute_infer),
        compute_output=_duration(batch.compute_output),
    )


def _response(response: ResponseSnapshot) -> pb.InferResponseStatistics:
    return pb.InferResponseStatistics(
        compute_infer=_duration(response.compute_infer),
        compute_output=_duration(response.compute_output),
        success=_duration(response.success),
        fail=_duration(response.fail),
        empty_response=_duration(response.empty_response),
        cancel=_duration(response.cancel),
    )


def _duration(duration: Duration) -> pb.StatisticDuration:
    return pb.StatisticDuration(count=duration.count, ns=duration.ns)
