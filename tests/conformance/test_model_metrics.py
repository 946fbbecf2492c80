"""Metrics that python models define, read as Prometheus reads them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton

from tests.support.model_repositories import write_python_model
from tests.support.server_process import running_server
from tests.support.triton_requests import infer_input

CONFIG = """
    input { name: "IN" data_type: TYPE_FP32 dims: [-1] }
    output { name: "OUT" data_type: TYPE_FP32 dims: [-1] }
"""
COUNTS = """
class TritonPythonModel:
    def initialize(self, args):
        family = pb_utils.MetricFamily("values_seen", "Values seen", pb_utils.MetricFamily.COUNTER)
        self.seen = family.Metric(labels={"model": args["model_name"]})
        self.sizes = pb_utils.MetricFamily("sizes", "Sizes", pb_utils.MetricFamily.HISTOGRAM).Metric(buckets=[1, 3])
        self.last = pb_utils.MetricFamily("last_value", "Last value", pb_utils.MetricFamily.GAUGE).Metric()

    def execute(self, requests):
        responses = []
        for request in requests:
            values = pb_utils.get_input_tensor_by_name(request, "IN").as_numpy()
            self.seen.increment(len(values))
            self.sizes.observe(len(values))
            self.last.set(float(values[-1]))
            assert self.last.value() == values[-1]
            try:
                self.seen.set(0)
            except pb_utils.TritonModelException as error:
                text = error.message()
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("OUT", values)], parameters={"refused": text}))
        return responses
"""


@pytest.mark.parametrize("where", ["server", "own"])
def test_a_models_metrics_stand_beside_the_servers(tmp_path: Path, where: str) -> None:
    """Counter, gauge and histogram of a model are on the metrics port, wherever the model runs."""
    place = f'parameters {{ key: "EXECUTION_PROCESS" value: {{ string_value: "{where}" }} }}'
    write_python_model(tmp_path, "counts", COUNTS, CONFIG + place)
    with running_server(tmp_path) as server, triton.InferenceServerClient(server.grpc) as client:
        for values in ([1, 2], [5]):
            result = client.infer("counts", [infer_input("IN", np.array(values, np.float32))])
        said = result.get_response().parameters["refused"].string_param
        assert said == "set is not an operation of a counter, which 'values_seen' is"
        text = server.get("/metrics", server.metrics)[1].decode()
        client.close()
    lines = re.findall(r"^(?:values_seen|sizes|last_value).*$", text, re.MULTILINE)
    assert lines == [
        "last_value 5.0",
        'sizes_bucket{le="1.0"} 1',
        'sizes_bucket{le="3.0"} 2',
        'sizes_bucket{le="+Inf"} 2',
        "sizes_sum 3.0",
        "sizes_count 2",
        'values_seen{model="counts"} 3.0',
    ]
    assert 'nv_inference_count{model="counts",version="1"} 2' in text
