"""A python model whose instances live in processes of their own, each watched and restarted when it dies.

Source: Triton's python backend, which always works so.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Condition, Thread
from typing import Any, Final

from aisle_server.backends.backend import (
    BackendInstance,
    BackendOptions,
    Device,
    Execution,
    NotBegunError,
    ResponseSender,
)
from aisle_server.backends.python.own_process.messages import Create, Execute, ExecuteDecoupled, Open
from aisle_server.backends.python.own_process.server_calls import ServerCalls
from aisle_server.backends.python.own_process.worker_process import NotSentError, ProcessEndedError, WorkerProcess
from aisle_server.errors import InferenceServerError, InvalidArgumentError, UnavailableError
from aisle_server.inference import InferenceRequest
from aisle_server.model_config.schema import ModelConfig

# A process that dies at once is not started again at once.
FIRST_RESTART_DELAY_S: Final = 0.1
LONGEST_RESTART_DELAY_S: Final = 30.0
# One that has lived so long is thought well again.
WELL_AFTER_S: Final = 60.0
# A batch that finds its process dead waits for the new one, for so long at most.
LONGEST_WAIT_S: Final = 5.0
STOP_TIMEOUT_S: Final = 10.0

_log = logging.getLogger(__name__)


class ProcessModel:
    """One version of a python model. Its code is imported in the processes of its instances, and never here."""

    def __init__(self, config: ModelConfig, version: int, version_directory: Path, options: BackendOptions) -> None:
        """Start the process of the first instance, which completes the configuration.

        Raises:
            InferenceServerError: The code cannot be imported, or contradicts its configuration, or ends its process.
        """
        self._config = config
        self._version = version
        self._directory = version_directory
        self._options = options
        self._spare: list[WorkerProcess] = []
        worker, self._config = self._start()
        self._spare.append(worker)

    @property
    def config(self) -> ModelConfig:
        """The model configuration, completed by the model."""
        return self._config

    def create_instance(self, name: str, device: Device) -> ProcessInstance:
        """Create an instance in a process of its own; see `BackendModel.create_instance`."""

        def start() -> WorkerProcess:
            worker = self._spare.pop() if self._spare else self._start()[0]
            self._load(worker, Create(name, device))
            return worker

        return ProcessInstance(self._config, name, start)

    def close(self) -> None:
        """End a process that no instance took."""
        while self._spare:
            self._spare.pop().stop(STOP_TIMEOUT_S)

    def _start(self) -> tuple[WorkerProcess, ModelConfig]:
        name = self._config.name
        ended_text = (
            f"Failed to process the request(s) for model '{name}', message: the process of its instance has ended"
        )
        try:
            worker = WorkerProcess(ServerCalls(self._options.model_caller, self._options.metrics), ended_text)
        except OSError as error:
            raise UnavailableError(f"no process can be started for model '{name}': {error.strerror}") from error
        level = logging.getLogger().getEffectiveLevel()
        return worker, self._load(
            worker, Open(self._config, self._version, self._directory, level, self._options.auto_complete_config)
        )

    def _load(self, worker: WorkerProcess, command: Open | Create) -> Any:
        try:
            return worker.command(command)
        except ProcessEndedError:
            name, how = self._config.name, worker.wait_for_end()
            worker.kill()
            raise InvalidArgumentError(
                f"model '{name}' version {self._version} ended its process while it was loaded: {how}"
            ) from None
        except BaseException:
            worker.kill()
            raise


class ProcessInstance(BackendInstance):
    """An instance in a process of its own. A thread watches the process, and starts another when it ends unasked."""

    def __init__(self, config: ModelConfig, name: str, start: Callable[[], WorkerProcess]) -> None:
        """Start the process and the thread.

        Args:
            config: Of the model, complete.
            name: Of the instance.
            start: Starts a process with the instance created in it.
        """
        self._described = f"instance '{name}' of model '{config.name}'"
        self._start = start
        self._changed = Condition()
        self._is_stopping = False
        self._worker: WorkerProcess | None = start()
        self._watcher = Thread(target=self._watch, name=f"watcher of {name}", daemon=True)
        self._watcher.start()

    def is_healthy(self) -> bool:
        """Whether its process is up."""
        worker = self._worker
        return worker is not None and not worker.has_ended

    def execute(self, requests: Sequence[InferenceRequest]) -> Execution:
        """Run a batch in the process; see `BackendInstance.execute`.

        Raises:
            NotBegunError: The process ended before it had the batch.
            ProcessEndedError: The process ended meanwhile.
            UnavailableError: The process has ended before, and there is no new one yet.
        """
        execution: Execution = self._execute(Execute, requests, [None] * len(requests))
        return execution

    def execute_decoupled(self, requests: Sequence[InferenceRequest], senders: Sequence[ResponseSender]) -> None:
        """Run a batch of a decoupled model in the process; see `DecoupledInstance.execute_decoupled`."""
        self._execute(ExecuteDecoupled, requests, senders)

    def finalize(self) -> None:
        """Finalize the instance, and end its process."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()
            worker = self._worker
        if worker is not None:
            worker.stop(STOP_TIMEOUT_S)
        self._watcher.join()

    def _execute(
        self,
        command: type[Execute | ExecuteDecoupled],
        requests: Sequence[InferenceRequest],
        senders: Sequence[ResponseSender | None],
    ) -> Any:
        try:
            return self._up().execute(command, requests, senders)
        except NotSentError:
            raise NotBegunError(f"the process of {self._described} ended before it had the batch") from None

    def _up(self) -> WorkerProcess:
        with self._changed:
            if not self._changed.wait_for(self.is_healthy, LONGEST_WAIT_S) or self._worker is None:
                raise UnavailableError(f"the process of {self._described} has ended and is being restarted")
            return self._worker

    def _watch(self) -> None:
        delay_s = FIRST_RESTART_DELAY_S
        while (worker := self._worker) is not None:
            started_s = time.monotonic()
            how = worker.wait_for_end()
            if time.monotonic() - started_s > WELL_AFTER_S:
                delay_s = FIRST_RESTART_DELAY_S
            with self._changed:
                self._worker = None
            if self._is_stopping:
                return
            _log.error("process %d of %s ended: %s", worker.pid, self._described, how)
            delay_s = self._restart(delay_s)

    def _restart(self, delay_s: float) -> float:
        """Start processes until one is up or the instance is finalized. Returns the delay for the next time."""
        while True:
            _log.warning("%s is restarted in %g s", self._described, delay_s)
            with self._changed:
                if self._changed.wait_for(lambda: self._is_stopping, delay_s):
                    return delay_s
            delay_s = min(2 * delay_s, LONGEST_RESTART_DELAY_S)
            try:
                worker = self._start()
            except InferenceServerError as error:
                _log.error("%s could not be restarted: %s", self._described, error.message)
                continue
            except Exception:
                _log.exception("%s could not be restarted", self._described)
                continue
            with self._changed:
                self._worker = worker
                self._changed.notify_all()
                is_stopping = self._is_stopping
            if is_stopping:  # `finalize` looked before there was a process
                worker.stop(STOP_TIMEOUT_S)
            else:
                _log.info("%s is up again: process %d", self._described, worker.pid)
            return delay_s
