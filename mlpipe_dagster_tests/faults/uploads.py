"""A person's script that uploads many datasets and does not give up: the API may be dead, or die with the request."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import requests

USER = "user123"
ANSWER_SECONDS = 30.0
GIVE_UP_SECONDS = 180.0
AGAIN_SECONDS = 0.5


@dataclass
class Uploads:
    """Uploads one dataset after the other, spread over a time, in a thread of its own.

    Leaving the context waits for the last one, and raises what went wrong in the thread.
    """

    api: str
    file: Path
    dataset_ids: Sequence[str]
    spread_over: float
    trouble: BaseException | None = None
    _stopping: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, name="uploads")
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_exception: object) -> None:
        if kind is not None:
            self._stopping.set()
        self._thread.join()
        if self.trouble:
            raise self.trouble

    def _run(self) -> None:
        begun = time.monotonic()
        try:
            for number, dataset_id in enumerate(self.dataset_ids):
                its_turn = begun + self.spread_over * number / len(self.dataset_ids)
                if self._stopping.wait(max(0.0, its_turn - time.monotonic())):
                    return
                self._upload(dataset_id)
        except BaseException as error:  # the end of the thread: `__exit__` raises it again
            self.trouble = error

    def _upload(self, dataset_id: str) -> None:
        give_up_at = time.monotonic() + GIVE_UP_SECONDS
        while time.monotonic() < give_up_at and not self._stopping.is_set():
            try:
                # an upload that got no answer may be stored all the same; a second one would be a second version
                if self._is_stored(dataset_id) or self._is_accepted(dataset_id):
                    return
            except requests.RequestException:
                time.sleep(AGAIN_SECONDS)
        assert self._stopping.is_set(), f"{dataset_id} could not be uploaded within {GIVE_UP_SECONDS:g} s"

    def _is_stored(self, dataset_id: str) -> bool:
        answer = requests.get(f"{self.api}/datasets/{USER}/{dataset_id}", timeout=ANSWER_SECONDS)
        if answer.status_code == 404:
            return False
        answer.raise_for_status()
        return True

    def _is_accepted(self, dataset_id: str) -> bool:
        with self.file.open("rb") as content:
            form = {"user_id": USER, "dataset_id": dataset_id, "name": dataset_id}
            answer = requests.post(
                f"{self.api}/datasets/upload", files={"file": content}, data=form, timeout=ANSWER_SECONDS
            )
        answer.raise_for_status()
        return True
