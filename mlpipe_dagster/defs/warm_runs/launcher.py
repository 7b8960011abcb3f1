"""Dagster's run launcher of mlpipe: hands a run to the zygote, which forks it in milliseconds.

Whatever about that is not as expected (other code, another interpreter, a zygote that does not start), the run is
launched as Dagster would by default, with a warning in its log.
"""

import fcntl
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import dagster as dg
from dagster._config.config_schema import UserConfigSchema
from dagster._core.events import EngineEventData
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, LaunchRunContext, RunLauncher, WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import ConfigurableClass, serialize_value
from dagster._serdes.config_class import ConfigurableClassData

from mlpipe_dagster.defs.warm_runs import wire
from mlpipe_dagster.defs.warm_runs.sensor_loop import quicken
from mlpipe_dagster.defs.warm_runs.wire import ZygoteUnreachable

ZYGOTE = "mlpipe_dagster.defs.warm_runs.zygote"
START_SECONDS = 60.0
SENSOR_LOOP_SECONDS = 0.2
TRAINING = "model"


class WarmRunLauncher(RunLauncher[Any], ConfigurableClass):
    """Forks runs from a preloaded process; bounds runs and trainings, the rest wait and are seen waiting."""

    def __init__(
        self,
        max_runs: int = 8,
        max_trainings: int = 2,
        sensor_loop_seconds: float = SENSOR_LOOP_SECONDS,
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        self._inst_data = inst_data
        self._limits = (max_runs, max_trainings)
        self._sensor_loop_seconds = sensor_loop_seconds
        self._default: RunLauncher[Any] = DefaultRunLauncher()
        super().__init__()  # type: ignore[no-untyped-call]

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """Where this launcher was configured."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """Fields in dagster.yaml."""
        return {
            "max_runs": dg.Field(int, default_value=8, is_required=False),
            "max_trainings": dg.Field(int, default_value=2, is_required=False),
            "sensor_loop_seconds": dg.Field(float, default_value=SENSOR_LOOP_SECONDS, is_required=False),
        }

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """As dagster.yaml says."""
        return cls(inst_data=inst_data, **config_value)

    def register_instance(self, instance: dg.DagsterInstance) -> None:
        """The default launcher, too, works on this instance. In the daemon, sensors are looked at more often."""
        super().register_instance(instance)
        self._default.register_instance(instance)
        quicken(self._sensor_loop_seconds)

    @property
    def _root(self) -> str:
        return str(self._instance.root_directory)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Hand the run to the zygote; as Dagster would by default where that cannot be done."""
        run = context.dagster_run
        try:
            place = self._hand_over(context)
        except (ZygoteUnreachable, OSError, subprocess.SubprocessError) as error:
            self._say(run, f"Warm start was not possible ({error}); the run starts cold.")
            self._default.launch_run(context)
            return
        self._say(run, "Forked from the warm process." if place is None else f"Waits; {place} runs are before it.")

    def _hand_over(self, context: LaunchRunContext) -> int | None:
        run, origin = context.dagster_run, context.job_code_origin
        if origin is None:
            raise ZygoteUnreachable("the run names no code")
        module = getattr(origin.repository_origin.code_pointer, "module", None)
        if module is None:
            raise ZygoteUnreachable("the run's code is not a module")
        if Path(origin.repository_origin.executable_path) != Path(sys.executable):
            raise ZygoteUnreachable(f"the run is of another interpreter: {origin.repository_origin.executable_path}")
        args = ExecuteRunArgs(
            job_origin=origin,
            run_id=run.run_id,
            instance_ref=self._instance.get_ref(),
            set_exit_code_on_failure=True,
        )
        logs = Path(self._root) / "warm_runs"
        logs.mkdir(parents=True, exist_ok=True)
        answer = wire.ask(
            self._zygote(module, logs),
            op="run",
            run_id=run.run_id,
            args=serialize_value(args),
            log=str(logs / "runs.log"),
            training=self._trains(run),
        )
        if not answer.get("accepted"):
            raise ZygoteUnreachable("the warm process is being replaced")
        place: int | None = answer["before"]
        return place

    def _trains(self, run: dg.DagsterRun) -> bool:
        return run.job_name == f"{TRAINING}_job" or dg.AssetKey(TRAINING) in (run.asset_selection or ())

    def _zygote(self, module: str, logs: Path) -> Path:
        """The socket of a zygote of the code as it is now; started here when there is none."""
        fingerprint = wire.code_fingerprint(module)
        path = wire.socket_path(self._root, module, fingerprint)
        if _answers(path):
            return path
        with (logs / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # daemon and webserver may both want one
            if not _answers(path):
                for other in wire.all_sockets(self._root, module):
                    _retire(other)
                self._start(path, fingerprint, module, logs / "zygote.log")
        return path

    def _start(self, path: Path, fingerprint: str, module: str, log: Path) -> None:
        path.unlink(missing_ok=True)
        command = [sys.executable, "-m", ZYGOTE, str(path), fingerprint, module, *map(str, self._limits)]
        command.append(serialize_value(self._instance.get_ref()))
        with log.open("ab") as output:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        give_up = time.monotonic() + START_SECONDS
        while not _answers(path):
            if process.poll() is not None:
                raise ZygoteUnreachable(f"it ended with code {process.returncode}, see {log}")
            if time.monotonic() > give_up:
                process.kill()
                raise ZygoteUnreachable(f"it did not start within {START_SECONDS:g} s, see {log}")
            time.sleep(0.02)

    def terminate(self, run_id: str) -> bool:
        """Cancel the run: at once where it waits; asked to stop, then killed, where it works."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        if self._ask_all("health", run_id, "state") is None:
            return self._default.terminate(run_id)
        self._instance.report_run_canceling(run)  # before the run itself says that it is canceled
        if self._ask_all("cancel", run_id, "found") == "waiting":
            self._instance.report_run_canceled(run, "Cancelled before it started.")
        return True

    def _ask_all(self, op: str, run_id: str, key: str) -> Any:
        """The first answer that knows the run; one of an older zygote may still be at work."""
        for path in wire.all_sockets(self._root):
            try:
                answer = wire.ask(path, op=op, run_id=run_id)
            except ZygoteUnreachable:
                continue
            if answer.get(key) not in (None, "unknown"):
                return answer if key == "state" else answer[key]
        return None

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Run monitoring may ask."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether the run's process lives."""
        if GRPC_INFO_TAG in run.tags:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "it was started cold: the code server watches it")
        answer = self._ask_all("health", run.run_id, "state")
        if answer is None:
            return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "no warm process knows this run")
        if answer["state"] in ("waiting", "working"):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        status = WorkerStatus.FAILED if answer["code"] else WorkerStatus.SUCCESS
        return CheckRunHealthResult(status, f"its process ended with code {answer['code']}")

    def _say(self, run: dg.DagsterRun, message: str) -> None:
        self._instance.report_engine_event(message, run, EngineEventData({}), cls=type(self))


def _answers(path: Path) -> bool:
    try:
        wire.ask(path, op="ping")
    except ZygoteUnreachable:
        return False
    return True


def _retire(path: Path) -> None:
    """A zygote of older code finishes what it has and takes nothing new; a dead one's socket goes."""
    try:
        wire.ask(path, op="drain")
    except ZygoteUnreachable:
        path.unlink(missing_ok=True)
