"""`pb_utils.Logger`: what a python model says goes into the server's log, under the model's name.

Source: Triton's python backend, "Logging".
"""

from __future__ import annotations

import logging
from enum import IntEnum
from typing import Final

from aisle_server.backends.python.current_model import current_model

_LOGGER_NAME = "aisle_server.python_models"


class LogLevel(IntEnum):
    """How much it matters."""

    INFO = logging.INFO
    WARNING = logging.WARNING
    ERROR = logging.ERROR
    VERBOSE = logging.DEBUG


class Logger:
    """The server's log. Its methods are static; nobody makes one."""

    LogLevel: Final = LogLevel
    INFO: Final = LogLevel.INFO
    WARNING: Final = LogLevel.WARNING
    ERROR: Final = LogLevel.ERROR
    VERBOSE: Final = LogLevel.VERBOSE

    @staticmethod
    def log(message: str, level: int = LogLevel.INFO) -> None:
        """Log a message, at the level of INFO unless another is given."""
        model = current_model()
        name = _LOGGER_NAME if model is None else f"{_LOGGER_NAME}.{model.name}"
        # `%s`, for a message of a model is no format.
        logging.getLogger(name).log(level, "%s", message)

    @staticmethod
    def log_info(message: str) -> None:
        """Log what is good to know."""
        Logger.log(message, LogLevel.INFO)

    @staticmethod
    def log_warn(message: str) -> None:
        """Log what may become a problem."""
        Logger.log(message, LogLevel.WARNING)

    @staticmethod
    def log_error(message: str) -> None:
        """Log what is wrong."""
        Logger.log(message, LogLevel.ERROR)

    @staticmethod
    def log_verbose(message: str) -> None:
        """Log what helps to find out what is wrong."""
        Logger.log(message, LogLevel.VERBOSE)
