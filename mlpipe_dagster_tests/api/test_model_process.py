"""The process that answers about models: how it is bounded."""

from threadpoolctl import threadpool_info

from mlpipe_dagster.api.model_process import ModelProcess


def test_it_answers_on_one_thread() -> None:
    process = ModelProcess()
    try:
        libraries = process.answer("The libraries were not counted", threadpool_info)
    finally:
        process.close()
    assert {library["user_api"] for library in libraries} == {"openmp", "blas"}
    assert {library["num_threads"] for library in libraries} == {1}
