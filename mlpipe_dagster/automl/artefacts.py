"""A trained model on disk: written without pickle, read back only if untouched and made of known types.

What the files mean to people is in the model card. Nothing from outside is unpickled here or elsewhere.
"""

import hashlib
import json
import platform
import shutil
from collections.abc import Mapping
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mlpipe_dagster.automl.alone import predict as predict_program
from mlpipe_dagster.automl.alone.code import code_zip
from mlpipe_dagster.automl.card import model_card
from mlpipe_dagster.automl.model import TrainedModel
from mlpipe_dagster.errors import ModelError

MODEL_FILE = "model.skops"
ENGINE_FILE = "engine_model.joblib"
"""What an engine with an interpreter of its own made: never read by ours."""
ONNX_FILE = "model.onnx"
PROGRAM_FILE = "predict.py"
CODE_FILE = "mlpipe_code.zip"
MANIFEST_FILE = "manifest.json"
CARD_FILE = "model_card.md"
LEADERBOARD_FILE = "leaderboard.json"
REQUIREMENTS_FILE = "requirements.txt"
REQUIRED = ("lightgbm", "numpy", "onnxruntime", "pandas", "pydantic", "scikit-learn", "scipy", "skops")
"""What `predict.py` needs."""
LIBRARIES = (*REQUIRED, "optuna", "mlpipe-dagster")
WHERE_INSTALLED = {"XGBoost": ("xgboost-cpu", "xgboost"), "CatBoost": ("catboost",)}
"""Algorithms of libraries that a search uses where they are installed, and the packages that bring them."""
TRUSTED_TYPES = frozenset(
    {
        "collections.OrderedDict",
        "lightgbm.basic.Booster",
        "lightgbm.sklearn.LGBMClassifier",
        "lightgbm.sklearn.LGBMRegressor",
        "numpy.dtype",
        "mlpipe_dagster.automl.calibration.Calibrated",
        "mlpipe_dagster.automl.coded.Coded",
        "mlpipe_dagster.automl.engines.outside.OutsideClassifier",
        "mlpipe_dagster.automl.ensemble.BlendClassifier",
        "mlpipe_dagster.automl.ensemble.BlendRegressor",
        "mlpipe_dagster.automl.engines.outside.OutsideRegressor",
        "mlpipe_dagster.automl.encoders.TargetAverages",
        "mlpipe_dagster.automl.encoders.ValueIndicators",
        "mlpipe_dagster.automl.preparation.TypedColumns",
        "sklearn._loss.link.IdentityLink",
        "sklearn._loss.link.Interval",
        "sklearn._loss.link.LogitLink",
        "sklearn._loss.link.MultinomialLogit",
        "sklearn._loss.loss.HalfBinomialLoss",
        "sklearn._loss.loss.HalfMultinomialLoss",
        "sklearn._loss.loss.HalfSquaredError",
        "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.model_selection._split.KFold",
        "sklearn.tree._tree.Tree",
    }
)
"""Types a saved model may hold beyond those that skops trusts itself."""
BOOSTER_TYPES = frozenset(
    {
        "catboost.core.CatBoostClassifier",
        "catboost.core.CatBoostRegressor",
        "xgboost.core.Booster",
        "xgboost.sklearn.XGBClassifier",
        "xgboost.sklearn.XGBRegressor",
    }
)
"""Trusted in models that were saved here, not in files from outside: they hand bytes to a library as they are."""
_MODELS: TypeAdapter[TrainedModel] = TypeAdapter(TrainedModel)


def save(model: TrainedModel, folder: Path) -> tuple[Path, ...]:
    """Write the model and what is known of it into `folder` (made if absent); returns the files written."""
    import skops.io

    folder.mkdir(parents=True, exist_ok=True)
    skops.io.dump(model.estimator, folder / MODEL_FILE)
    if engine_file := getattr(model.estimator[-1], "file", None):
        shutil.copyfile(engine_file, folder / ENGINE_FILE)
    return describe(model, folder)


def describe(model: TrainedModel, folder: Path) -> tuple[Path, ...]:
    """Write what is known of the model beside its saved estimator, in place of what stood there; all its files.

    Each file is replaced as a whole: whoever is killed here leaves a model that loads.
    """
    described = _MODELS.dump_python(model, mode="json", exclude={"estimator"})
    alone, versions = not (folder / ENGINE_FILE).exists(), libraries()
    manifest = {
        "format": 1,
        "sha256": _sha256(folder / MODEL_FILE),
        **({"code_sha256": hashlib.sha256(code_zip()).hexdigest()} if alone else {}),
        **({} if alone else {"engine_sha256": _sha256(folder / ENGINE_FILE)}),
        "libraries": versions,
        "model": described,
    }
    texts = {
        MANIFEST_FILE: json.dumps(manifest, indent=1, ensure_ascii=False, allow_nan=False),
        CARD_FILE: model_card(model, versions),
        LEADERBOARD_FILE: json.dumps(described["leaderboard"], indent=1, ensure_ascii=False, allow_nan=False),
        REQUIREMENTS_FILE: _requirements(versions, model),
    }
    contents = {name: text.encode() for name, text in texts.items()}
    if alone:
        contents |= {PROGRAM_FILE: Path(predict_program.__file__).read_bytes(), CODE_FILE: code_zip()}
    for name, content in contents.items():
        part = folder / f"{name}.part"
        part.write_bytes(content)
        part.replace(folder / name)
    own = [folder / name for name in (MODEL_FILE, ENGINE_FILE, ONNX_FILE) if (folder / name).exists()]
    return (*own, *(folder / name for name in contents))


def load(folder: Path) -> TrainedModel:
    """Read back what `save` wrote.

    Raises
    ------
    ModelError
        A file is absent or does not read, the model was changed after it was saved, or it holds a type that is not
        trusted.
    """
    manifest = _read_manifest(folder)
    model = _described(
        manifest, read_estimator(_untouched(folder, MODEL_FILE, manifest.get("sha256")), TRUSTED_TYPES | BOOSTER_TYPES)
    )
    if "engine_sha256" in manifest:
        model.estimator[-1].file = _untouched(folder, ENGINE_FILE, manifest["engine_sha256"])
    return model


def _untouched(folder: Path, name: str, sha256: object) -> Path:
    """That file; raises ModelError where it is absent or not the one that was saved."""
    path = folder / name
    if not path.is_file():
        raise ModelError(f"There is no {name} beside the manifest. Train the model again.")
    if _sha256(path) != sha256:
        raise ModelError(f"{name} is not the file that was saved: its SHA-256 differs. Train the model again.")
    return path


def onnx_file(folder: Path, model: TrainedModel) -> Path:
    """The ONNX file beside a model; raises ModelError where there is none, or it is not the one that was saved."""
    if model.onnx is None or model.onnx.sha256 is None:
        raise ModelError(f"There is no ONNX file. {model.onnx.note if model.onnx else 'Predict with model.skops.'}")
    return _untouched(folder, ONNX_FILE, model.onnx.sha256)


def description(folder: Path) -> TrainedModel:
    """What `save` wrote without the estimator, which stays None; raises ModelError where it does not read."""
    return _described(_read_manifest(folder), None)


def described(manifest: bytes) -> TrainedModel:
    """As `description`, of a manifest that is read already."""
    return _described(_parsed(manifest), None)


def _described(manifest: dict[str, Any], estimator: Any) -> TrainedModel:
    try:
        return _MODELS.validate_python({**manifest.get("model", {}), "estimator": estimator})
    except ValidationError as error:
        raise ModelError(f"{MANIFEST_FILE} does not describe a model of this version of mlpipe.") from error


def read_estimator(path: Path, trusted: frozenset[str] = TRUSTED_TYPES) -> Any:
    """What a skops file holds; raises ModelError, before anything is made, for a type that is not trusted, and where a
    library is missing."""
    import skops.io

    asked_for = set(skops.io.get_untrusted_types(file=path))
    foreign = sorted(asked_for - trusted)
    if foreign:
        raise ModelError(f"{path.name} holds the type {foreign[0]}, which is not trusted. It is not loaded.")
    try:
        return skops.io.load(path, trusted=sorted(asked_for))
    except ModuleNotFoundError as error:
        raise ModelError(
            f"The model needs {error.name}, which is not installed here. Install what {REQUIREMENTS_FILE} names."
        ) from error


def model_size_mb(folder: Path) -> float:
    """Size of the saved model in MB (10⁶ bytes)."""
    return (folder / MODEL_FILE).stat().st_size / 1e6


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST_FILE
    if not path.is_file():
        raise ModelError(f"There is no {MANIFEST_FILE} in the folder of the model. Train the model again.")
    return _parsed(path.read_bytes())


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        manifest = json.loads(text)
    except ValueError as error:
        raise ModelError(f"{MANIFEST_FILE} is damaged: it is not JSON. Train the model again.") from error
    if not isinstance(manifest, dict):
        raise ModelError(f"{MANIFEST_FILE} does not describe a model.")
    return manifest


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def libraries() -> dict[str, str]:
    """The versions that are at work here, of Python too, and of what a search uses where it is installed."""
    there = [name for names in WHERE_INSTALLED.values() for name in names if _is_installed(name)]
    return {"python": platform.python_version(), **{name: version(name) for name in (*LIBRARIES, *there)}}


def _is_installed(name: str) -> bool:
    return any(distributions(name=name))


def _requirements(versions: Mapping[str, str], model: TrainedModel) -> str:
    """For pip: the exact versions, for the Python that the model was made with."""
    made_of = " ".join([model.algorithm, *model.parameters])  # of an ensemble the members are its parameters
    further = [name for algorithm, names in WHERE_INSTALLED.items() if algorithm in made_of for name in names]
    lines = [f"{name}=={number}" for name, number in versions.items() if name in (*REQUIRED, *further)]
    return "\n".join([f"# Python {versions['python']}", *lines]) + "\n"
