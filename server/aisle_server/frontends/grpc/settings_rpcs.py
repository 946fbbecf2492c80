"""The RPCs that read and change the log's and the tracer's settings.

Source: Triton inference protocol, logging and trace extensions.
"""

from __future__ import annotations

from aisle_protocol.generated import grpc_service_pb2 as pb
from aisle_server.errors import InferenceServerError, InvalidArgumentError
from aisle_server.frontends.grpc.call import Call
from aisle_server.frontends.log_settings import LogSettings
from aisle_server.frontends.trace_settings import told
from aisle_server.frontends.tracing import Tracer
from aisle_server.inference import LATEST_VERSION
from aisle_server.inference_server import InferenceServer


class SettingsRpcs:
    """Answers for the settings. A request without settings reads them."""

    def __init__(self, server: InferenceServer, log: LogSettings, tracer: Tracer) -> None:
        self._models = server
        self._log = log
        self._tracer = tracer

    async def log_settings(self, message: pb.LogSettingsRequest, call: Call) -> pb.LogSettingsResponse:
        """Change what the request names, and tell all."""
        changes = {
            name: None if choice is None else getattr(setting, choice)
            for name, setting in message.settings.items()
            for choice in [setting.WhichOneof("parameter_choice")]
        }
        self._log.update(changes)
        response = pb.LogSettingsResponse()
        for name, value in self._log.values().items():
            if isinstance(value, bool):
                response.settings[name].bool_param = value
            elif isinstance(value, int):
                response.settings[name].uint32_param = value
            else:
                response.settings[name].string_param = value
        return response

    async def trace_setting(self, message: pb.TraceSettingRequest, call: Call) -> pb.TraceSettingResponse:
        """Change what the request names, of one model or of all, and tell all."""
        if message.model_name:
            try:
                self._models.model_config(message.model_name, LATEST_VERSION)
            except InferenceServerError:
                raise InvalidArgumentError(f"Request for unknown model : {message.model_name}") from None
        if message.settings:
            changes = {name: list(setting.value) for name, setting in message.settings.items()}
            self._tracer.update(message.model_name, changes)
        response = pb.TraceSettingResponse()
        for name, values in told(self._tracer.values(message.model_name)).items():
            response.settings[name].value.extend(values)
        return response
