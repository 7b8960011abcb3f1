"""Every setting of mlpipe, its environment variable and default: the only reader of the environment.

Nothing is read at import: call `settings()` when a value is needed. docs/configuration.md is generated from this class.
"""

from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from mlpipe_dagster.vocabulary import WAIT_PATTERN, AfterTimeout, Level


class Settings(BaseSettings):
    """Values from the environment, with defaults for one machine."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    # where things live
    home: Path = Field(Path(".mlpipe"), alias="MLPIPE_HOME", description="Folder of catalogue, objects, logs and state")
    catalogue_url: str = Field(
        "", alias="MLPIPE_CATALOGUE", description="SQLAlchemy URL of the catalogue; empty: SQLite in MLPIPE_HOME"
    )
    objects: str = Field(
        "", alias="MLPIPE_OBJECTS", description="Folder or s3://bucket/prefix of uploads, models and reports"
    )
    s3_endpoint_url: str = Field("", alias="MLPIPE_S3_ENDPOINT_URL", description="S3 server other than AWS")
    s3_access_key: str = Field("", alias="MLPIPE_S3_ACCESS_KEY", description="Empty: the AWS credential chain")
    s3_secret_key: SecretStr = Field(SecretStr(""), alias="MLPIPE_S3_SECRET_KEY", description="Secret of that key")
    s3_region: str = Field("us-east-1", alias="MLPIPE_S3_REGION", description="Region of the bucket")

    definitions: str = Field(
        "mlpipe_dagster.definitions",
        alias="MLPIPE_DEFINITIONS",
        description="Module whose `defs` Dagster serves; one of your own may assemble stages of your own",
    )

    # addresses
    api_host: str = Field("127.0.0.1", alias="MLPIPE_API_HOST", description="Address the warehouse API binds to")
    api_port: int = Field(8000, alias="MLPIPE_API_PORT", description="Port of the warehouse API")
    api_base: str = Field(
        "http://localhost:8000", alias="API_BASE", description="Where people and workers reach the API; used in links"
    )
    dagster_base: str = Field(
        "http://localhost:3000", alias="MLPIPE_DAGSTER_BASE", description="Where people reach the Dagster UI; in links"
    )

    # who may use the API
    auth: Literal["off", "api-keys"] = Field(
        "off",
        alias="MLPIPE_AUTH",
        description="off, for this machine only; or api-keys, which an MLPIPE_API_HOST beyond loopback needs",
    )
    api_key: SecretStr = Field(
        SecretStr(""), alias="MLPIPE_API_KEY", description="Key that the command line shows the API; see `mlpipe keys`"
    )
    rate_limit: float | None = Field(
        None,
        ge=0,
        alias="MLPIPE_RATE_LIMIT",
        description="Requests a second for each key, else for each address; 0: any number; "
        "empty: 50 with api-keys, any number without",
    )
    rate_burst: int = Field(
        200, ge=1, alias="MLPIPE_RATE_BURST", description="Requests that may come at once before that limit holds"
    )

    # Kafka
    kafka_bootstrap_servers: str = Field(
        "localhost:9092", alias="KAFKA_BOOTSTRAP_SERVERS", description="Brokers, host:port,host:port"
    )
    kafka_security_protocol: Literal["", "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "",
        alias="KAFKA_SECURITY_PROTOCOL",
        description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL; empty: PLAINTEXT, to brokers on this machine only",
    )
    kafka_sasl_mechanism: Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = Field(
        "", alias="KAFKA_SASL_MECHANISM", description="PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER"
    )
    kafka_sasl_username: str = Field("", alias="KAFKA_SASL_USERNAME", description="User of PLAIN and SCRAM")
    kafka_sasl_password: SecretStr = Field(
        SecretStr(""), alias="KAFKA_SASL_PASSWORD", description="Password of that user"
    )
    kafka_oauth_token_endpoint: str = Field(
        "", alias="KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL", description="Where client credentials become tokens"
    )
    kafka_oauth_client_id: str = Field(
        "", alias="KAFKA_SASL_OAUTHBEARER_CLIENT_ID", description="Our name at the token endpoint"
    )
    kafka_oauth_client_secret: SecretStr = Field(
        SecretStr(""), alias="KAFKA_SASL_OAUTHBEARER_CLIENT_SECRET", description="Secret of that client"
    )
    kafka_oauth_scope: str = Field(
        "", alias="KAFKA_SASL_OAUTHBEARER_SCOPE", description="Scope to ask for; empty: the endpoint's default"
    )
    kafka_oauth_token_file: str = Field(
        "",
        alias="KAFKA_SASL_OAUTHBEARER_TOKEN_FILE",
        description="File with a token, in place of the endpoint; read at each connection",
    )
    kafka_ssl_cafile: str = Field(
        "", alias="KAFKA_SSL_CAFILE", description="PEM file of the authorities to believe; empty: the system's"
    )
    kafka_ssl_certfile: str = Field("", alias="KAFKA_SSL_CERTFILE", description="PEM file of our own certificate")
    kafka_ssl_keyfile: str = Field(
        "", alias="KAFKA_SSL_KEYFILE", description="PEM file of its key; empty: the key is in the same file"
    )
    kafka_ssl_password: SecretStr = Field(
        SecretStr(""), alias="KAFKA_SSL_PASSWORD", description="Password of the key file"
    )
    kafka_ssl_check_hostname: bool = Field(
        True, alias="KAFKA_SSL_CHECK_HOSTNAME", description="Whether a broker's certificate must name its host"
    )
    kafka_dataset_topic: str = Field("dataset-events", alias="KAFKA_DATASET_TOPIC", description="Topic of uploads")
    kafka_bias_trigger_topic: str = Field(
        "bias-trigger-events", alias="KAFKA_BIAS_TRIGGER_TOPIC", description="Topic that starts bias reports"
    )
    kafka_bias_topic: str = Field("bias-events", alias="KAFKA_BIAS_TOPIC", description="Topic of stored bias reports")
    kafka_automl_trigger_topic: str = Field(
        "automl-trigger-events", alias="KAFKA_AUTOML_TRIGGER_TOPIC", description="Topic that starts trainings"
    )
    kafka_automl_topic: str = Field("automl-events", alias="KAFKA_AUTOML_TOPIC", description="Topic of stored models")
    kafka_xai_trigger_topic: str = Field(
        "xai-trigger-events", alias="KAFKA_XAI_TRIGGER_TOPIC", description="Topic that starts explanations"
    )
    kafka_xai_topic: str = Field("xai-events", alias="KAFKA_XAI_TOPIC", description="Topic of stored explanations")
    kafka_dataset_change_topic: str = Field(
        "dataset-change-events",
        alias="KAFKA_DATASET_CHANGE_TOPIC",
        description="Our topic: renamed, deleted, mitigated",
    )
    kafka_failed_topic: str = Field(
        "pipeline-failed-events", alias="KAFKA_FAILED_TOPIC", description="Our topic: a stage failed for good"
    )
    kafka_dataset_group: str = Field(
        "agentic-core-dataset-consumer", alias="KAFKA_DATASET_CONSUMER_GROUP", description="Group of dataset-events"
    )
    kafka_bias_trigger_group: str = Field(
        "bias-trigger-consumer", alias="KAFKA_BIAS_TRIGGER_CONSUMER_GROUP", description="Group of bias-trigger-events"
    )
    kafka_bias_group: str = Field(
        "agentic-core-bias-consumer", alias="KAFKA_BIAS_CONSUMER_GROUP", description="Group of bias-events"
    )
    kafka_automl_trigger_group: str = Field(
        "automl-consumer", alias="KAFKA_AUTOML_TRIGGER_CONSUMER_GROUP", description="Group of automl-trigger-events"
    )
    kafka_automl_group: str = Field(
        "agentic-core-automl-consumer", alias="KAFKA_AUTOML_CONSUMER_GROUP", description="Group of automl-events"
    )
    kafka_xai_trigger_group: str = Field(
        "xai-consumer", alias="KAFKA_XAI_TRIGGER_CONSUMER_GROUP", description="Group of xai-trigger-events"
    )
    kafka_xai_group: str = Field(
        "agentic-core-xai-consumer", alias="KAFKA_XAI_CONSUMER_GROUP", description="Group of xai-events"
    )
    kafka_partitions: int = Field(1, alias="MLPIPE_KAFKA_PARTITIONS", description="Partitions of topics mlpipe creates")
    kafka_replication: int = Field(1, alias="MLPIPE_KAFKA_REPLICATION", description="Replicas of topics mlpipe creates")
    kafka_max_message_bytes: int = Field(
        8 * 1024 * 1024, alias="MLPIPE_KAFKA_MAX_MESSAGE_BYTES", description="Limit of one record on our topics"
    )
    sensor_poll_seconds: float = Field(
        1.0, alias="MLPIPE_SENSOR_POLL_SECONDS", description="Longest wait of one sensor tick; mlpipe up sets 15"
    )

    # defaults of a pipeline, used where neither the upload nor a policy says otherwise
    default_mode: Literal["auto", "ask"] = Field("auto", alias="MLPIPE_DEFAULT_MODE", description="auto or ask")
    default_time_budget: str = Field("60", alias="MLPIPE_DEFAULT_TIME_BUDGET", description="Budget of a training")
    default_xai_level: Level = Field(
        Level.BEGINNER, alias="MLPIPE_DEFAULT_XAI_LEVEL", description="Level of explanations"
    )
    report_language: Literal["en", "de"] = Field(
        "en", alias="MLPIPE_REPORT_LANGUAGE", description="Language of the explanations: en or de"
    )
    default_target: str = Field("", alias="MLPIPE_DEFAULT_TARGET", description="Target column where a table has it")
    default_task_type: str = Field("", alias="MLPIPE_DEFAULT_TASK_TYPE", description="Task type; empty: inferred")
    default_sensitive: str = Field(
        "", alias="MLPIPE_DEFAULT_SENSITIVE", description="Sensitive columns, comma-separated; empty: inferred"
    )
    default_engine: Literal["auto", "portfolio", "deterministic", "flaml", "autosklearn", "autogluon"] = Field(
        "auto",
        alias="MLPIPE_DEFAULT_ENGINE",
        description="Engine of a training: auto, portfolio, deterministic, flaml, autosklearn or autogluon",
    )
    short_budget: Literal["refuse", "raise"] = Field(
        "refuse",
        alias="MLPIPE_SHORT_BUDGET",
        description="What becomes of a time budget below an engine's least: refuse, or raise it to that",
    )
    split: Literal["auto", "random"] = Field(
        "auto",
        alias="MLPIPE_SPLIT",
        description="How test rows are held out: auto (together by a repeated id, the latest by a date), or random",
    )
    first_model_grace: float = Field(
        0.0,
        ge=0,
        alias="MLPIPE_FIRST_MODEL_GRACE",
        description="Seconds that a training without any model may go on beyond its budget; 0: the budget is kept",
    )
    question_timeout: str = Field(
        "none",
        pattern=WAIT_PATTERN,
        alias="MLPIPE_QUESTION_TIMEOUT",
        description="How long a question waits for its answer: 30m, 2h, 3d, or none for no limit",
    )
    question_outcome: AfterTimeout = Field(
        "wait",
        alias="MLPIPE_QUESTION_OUTCOME",
        description="What then happens: default (its suggestion is taken), cancel (its pipeline ends) or wait",
    )
    question_reminder: str = Field(
        "none",
        pattern=WAIT_PATTERN,
        alias="MLPIPE_QUESTION_REMINDER",
        description="How long after a question who may answer it is reminded, once; none: never",
    )
    time_budget_unit: Literal["seconds", "minutes"] = Field(
        "seconds", alias="MLPIPE_TIME_BUDGET_UNIT", description="Unit of a budget that is a bare number"
    )

    # notifications outside the platform
    notify_urls: SecretStr = Field(
        SecretStr(""),
        alias="MLPIPE_NOTIFY_URLS",
        description="Apprise URLs, blanks between them, that are told of everybody's notifications and questions",
    )
    notify_private: bool = Field(
        False,
        alias="MLPIPE_NOTIFY_PRIVATE",
        description="Whether users' own channels may reach addresses of this machine and its network, and local files",
    )
    notify_attempts: int = Field(8, ge=1, alias="MLPIPE_NOTIFY_ATTEMPTS", description="Tries a delivery gets")
    notify_retry_seconds: float = Field(
        15,
        gt=0,
        alias="MLPIPE_NOTIFY_RETRY_SECONDS",
        description="Longest wait before the second try of a delivery; doubles with each further one",
    )
    notify_retry_longest_seconds: float = Field(
        900, gt=0, alias="MLPIPE_NOTIFY_RETRY_LONGEST", description="Longest wait before any further try of a delivery"
    )

    # deadlines and limits
    dataset_deadline_seconds: float = Field(
        1800, alias="MLPIPE_DATASET_DEADLINE", description="Seconds for reading a table"
    )
    bias_deadline_seconds: float = Field(600, alias="MLPIPE_BIAS_DEADLINE", description="Seconds for a bias report")
    xai_deadline_seconds: float = Field(600, alias="MLPIPE_XAI_DEADLINE", description="Seconds for an explanation")
    automl_grace_seconds: float = Field(300, alias="MLPIPE_AUTOML_GRACE", description="Seconds beyond the budget")
    core_deadline_seconds: float = Field(300, alias="MLPIPE_CORE_DEADLINE", description="Seconds for a foreign core")
    unknown_grace_seconds: float = Field(
        60, alias="MLPIPE_UNKNOWN_GRACE", description="Seconds a trigger waits for a dataset or model nobody knows yet"
    )
    max_upload_bytes: int = Field(5 * 1024**3, alias="MLPIPE_MAX_UPLOAD_BYTES", description="Largest upload")
    max_foreign_model_bytes: int = Field(
        512 * 1024**2,
        alias="MLPIPE_MAX_FOREIGN_MODEL_BYTES",
        description="Largest ONNX or skops file of a foreign worker that is loaded (unpacked, too)",
    )
    max_attempts: int = Field(
        5, alias="MLPIPE_MAX_ATTEMPTS", description="Tries a stage gets when its run dies or meets a passing trouble"
    )
    retry_seconds: float = Field(
        2, alias="MLPIPE_RETRY_SECONDS", description="Longest wait before the second try; doubles with each further one"
    )
    retry_longest_seconds: float = Field(
        60, alias="MLPIPE_RETRY_LONGEST", description="Longest wait before any further try"
    )
    training_memory_bytes: int = Field(
        0,
        ge=0,
        alias="MLPIPE_TRAINING_MEMORY",
        description="Memory that one training may take; 0: 80 % of the machine's",
    )
    autogluon_python: str = Field(
        "",
        alias="MLPIPE_AUTOGLUON_PYTHON",
        description="Python that has AutoGluon; empty: where `mlpipe engines install autogluon` puts it",
    )
    autosklearn_python: str = Field(
        "",
        alias="MLPIPE_AUTOSKLEARN_PYTHON",
        description="Python that has auto-sklearn; empty: where `mlpipe engines install autosklearn` puts it",
    )
    threads: int = Field(2, alias="MLPIPE_THREADS", description="Threads of DuckDB, LightGBM and friends")
    duckdb_memory: str = Field("2GB", alias="MLPIPE_DUCKDB_MEMORY", description="Memory limit of one DuckDB connection")

    @property
    def catalogue(self) -> str:
        """SQLAlchemy URL of the catalogue."""
        return self.catalogue_url or f"sqlite:///{(self.home / 'catalogue.db').absolute()}"

    @property
    def objects_location(self) -> str:
        """Folder or s3:// URL of the objects."""
        return self.objects or str((self.home / "objects").absolute())


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process, read once; `settings.cache_clear()` forgets them."""
    return Settings()
