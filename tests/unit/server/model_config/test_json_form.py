"""The JSON form of a model configuration, as python models read it."""

import json

import pytest

from aisle_server.errors import InvalidArgumentError
from aisle_server.model_config.json_form import from_json_form, to_json_form
from aisle_server.model_config.pbtxt import parse_config
from aisle_server.model_config.schema import ModelConfig

CONFIG = """
name: "m"  backend: "python"  max_batch_size: 8
input { name: "X"  data_type: TYPE_FP32  dims: [ -1, 9007199254740993 ]  reshape { shape: [ 3 ] } }
output { name: "Y"  data_type: TYPE_STRING  dims: [ 1 ] }
version_policy { specific { versions: [ 1, 3 ] } }
dynamic_batching { max_queue_delay_microseconds: 100  priority_queue_policy { key: 2  value { max_queue_size: 4 } } }
parameters { key: "labels"  value { string_value: "labels.txt" } }
instance_group { kind: KIND_CPU  count: 2 }
optimization { cuda { graphs: true } }
"""


def test_64_bit_numbers_are_numbers():
    """A python model computes with dims: they are numbers, whatever their size, and enums are names."""
    fields = json.loads(json.dumps(to_json_form(parse_config(CONFIG))))
    assert fields["input"][0]["dims"] == [-1, 9007199254740993]
    assert fields["input"][0]["data_type"] == "TYPE_FP32"
    assert fields["version_policy"] == {"specific": {"versions": [1, 3]}}
    assert fields["dynamic_batching"]["max_queue_delay_microseconds"] == 100
    assert fields["dynamic_batching"]["priority_queue_policy"]["2"]["max_queue_size"] == 4
    assert fields["parameters"] == {"labels": {"string_value": "labels.txt"}}


def test_plain_fields_are_always_there():
    """A model may read `input`, `parameters` and `max_batch_size` without asking whether they are set; messages only when set."""
    fields = to_json_form(ModelConfig("m"))
    assert (fields["input"], fields["parameters"], fields["max_batch_size"]) == ([], {}, 0)
    assert "dynamic_batching" not in fields


def test_the_way_there_and_back_loses_nothing():
    """A configuration that went through its JSON form is the same, with the fields that the server does not act upon."""
    config = parse_config(CONFIG)
    assert from_json_form(json.loads(json.dumps(to_json_form(config)))) == config


@pytest.mark.parametrize("fields", [{"inputs": []}, {"max_batch_size": "many"}, {"input": [{"dims": 3.5}]}])
def test_what_is_no_configuration_is_refused(fields):
    """An unknown field and a value of the wrong kind are told, not dropped."""
    with pytest.raises(InvalidArgumentError, match="not a model configuration"):
        from_json_form(fields)
