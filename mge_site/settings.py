"""Django settings, all of them from the environment (see `mge_site/env.py`); none is needed."""

from __future__ import annotations

import math
import sqlite3
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dj_database_url
from csp.constants import NONE, SELF

from mge_site.env import UNISOLATED_WORDS, BadSetting, Environment
from mge_site.secret_key import check_key, made_key

BASE_DIR = Path(__file__).resolve().parent.parent
ENVIRONMENT = Environment()
if ENVIRONMENT.errors():
    raise BadSetting("\n".join(ENVIRONMENT.errors()))

MGE_DATA_DIR: Path = (ENVIRONMENT["MGE_DATA_DIR"] or BASE_DIR / "var").resolve()

DEBUG: bool = ENVIRONMENT["MGE_DEBUG"]
ALLOWED_HOSTS: list[str] = ["localhost", "127.0.0.1", "[::1]"]

if ENVIRONMENT["MGE_SECRET_KEY"]:
    SECRET_KEY = check_key(ENVIRONMENT["MGE_SECRET_KEY"], "MGE_SECRET_KEY")
elif ENVIRONMENT["SECRET_KEY"]:
    SECRET_KEY = check_key(ENVIRONMENT["SECRET_KEY"], "SECRET_KEY")
else:
    SECRET_KEY = made_key(MGE_DATA_DIR)

INSTALLED_APPS = [
    "daphne",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "axes",
    "channels",
    "csp",
    "django_filters",
    "django_htmx",
    "django_prometheus",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "rest_framework",
    # Ahead of django_q: our `qcluster` takes the place of its own.
    "executions",
    "django_q",
]

MIDDLEWARE = [
    "executions.api.request_ids.RequestIdMiddleware",
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
    "executions.metrics.watch.WatchMiddleware",
]

ROOT_URLCONF = "mge_site.urls"
ASGI_APPLICATION = "mge_site.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
            # Template filters of the pages, where the code of the pages is.
            "libraries": {"words": "executions.dashboard.words"},
        },
    },
]

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Served by the web process itself, from the packages' own folders: no collecting step before the first page.
WHITENOISE_USE_FINDERS = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True

# --- Database -------------------------------------------------------------------------------------------------------

SQLITE_OPTIONS: dict[str, Any] = {
    # WAL without IMMEDIATE is worse than no WAL: a transaction that reads first cannot be upgraded and fails at once.
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    # No mmap_size: a corruption report was made worse by it.
    "init_command": (
        "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;PRAGMA foreign_keys=ON;"
        "PRAGMA journal_size_limit=27103364;PRAGMA cache_size=-8000"
    ),
}
EMBEDDED_DATABASE: bool = not ENVIRONMENT["DATABASE_URL"]


def _database() -> dict[str, Any]:
    if EMBEDDED_DATABASE:
        name = str(MGE_DATA_DIR / "mge.sqlite3")
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": name,
            "OPTIONS": SQLITE_OPTIONS,
            # A file, as in production: threads and processes share it the way they do there.
            "TEST": {"NAME": str(MGE_DATA_DIR / "test.sqlite3")},
        }
    try:
        database: dict[str, Any] = dict(dj_database_url.parse(ENVIRONMENT["DATABASE_URL"]))
    except (dj_database_url.ParseError, dj_database_url.UnknownSchemeError, ValueError) as error:
        raise BadSetting(
            f"DATABASE_URL cannot be read: {type(error).__name__}; expected postgres://user@host/name"
        ) from None
    if database["ENGINE"] == "django.db.backends.sqlite3":
        database["OPTIONS"] = SQLITE_OPTIONS
    elif database["ENGINE"] == "django.db.backends.postgresql":
        # Worker processes keep their connection and heal it by hand; the web process closes it after each request.
        database["CONN_MAX_AGE"] = 0
        database["CONN_HEALTH_CHECKS"] = True
        database["OPTIONS"] = _over_a_network(database.get("OPTIONS", {}))
        if database["OPTIONS"].get("pool"):
            # Runners set their connection up for themselves and heal it; from a pool others would get it as they left it.
            raise BadSetting(
                "DATABASE_URL: pool is not supported; each process keeps the connections it needs"
            )
    else:
        raise BadSetting("DATABASE_URL: only postgres:// and sqlite:// are supported")
    return database


def _over_a_network(options: dict[str, Any]) -> dict[str, Any]:
    """What keeps one node's broken network its own trouble. Options named in the URL win.

    A client that falls silent within a transaction holds the locks of an execution, and so everybody else on it: the server
    ends such a session, well before the others' leases do. The client, for its part, notices a peer that is gone.
    """
    silent_ms = int(1000 * max(2.0, ENVIRONMENT["MGE_LEASE_SECONDS"] / 3))
    given = {"connect_timeout": 10, "keepalives_idle": 15, "tcp_user_timeout": 30_000, **options}
    given["options"] = (
        f"-c idle_in_transaction_session_timeout={silent_ms} {options.get('options', '')}".strip()
    )
    return given


DATABASES = {"default": _database()}
if sqlite3.sqlite_version_info < (3, 35):
    raise BadSetting(f"SQLite {sqlite3.sqlite_version} is too old: 3.35 or newer is needed (RETURNING)")

REDIS_URL: str = ENVIRONMENT["REDIS_URL"]
# Shared by all processes, unlike a cache in memory.
CACHES: dict[str, Any] = {
    "default": (
        {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}
        if REDIS_URL
        else {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "mge_cache"}
    )
}

# --- People: who they are, what a browser may do, how much is too much ------------------------------------------------

AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "login"
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_CALLABLE = "executions.dashboard.accounts.locked_out"
AXES_VERBOSE = False
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
        "object-src": [NONE],
    },
}
REST_FRAMEWORK: dict[str, Any] = {
    # The token first: it names the challenge of a 401, and a request that brings one is judged by it alone.
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "executions.api.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["executions.api.parsing.LimitedJSONParser"],
    "DEFAULT_THROTTLE_CLASSES": ["executions.api.throttles.UserThrottle"],
    "EXCEPTION_HANDLER": "executions.api.errors.answer",
    "DEFAULT_SCHEMA_CLASS": "executions.api.documentation.OperationSchema",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "MGE Execution",
    "VERSION": "2",
    "DESCRIPTION": "Masterplans, their executions, and what came of every atom.",
    "PREPROCESSING_HOOKS": ["executions.api.documentation.one_path_each"],
    "SORT_OPERATION_PARAMETERS": False,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_NAME_OVERRIDES": {
        "ExecutionStatus": "executions.api.words.EXECUTION_STATUSES",
        "OriginalStatus": "executions.api.words.ORIGINAL_STATUSES",
        "WaveStatus": "executions.api.words.WAVE_STATUSES",
        "AtomStatus": "executions.api.words.ATOM_STATUSES",
        "AttemptStatus": "executions.api.words.ATTEMPT_STATUSES",
    },
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

MGE_THROTTLE_WRITES: int = ENVIRONMENT["MGE_THROTTLE_WRITES"]
MGE_THROTTLE_READS: int = ENVIRONMENT["MGE_THROTTLE_READS"]
MGE_METRICS_TOKEN: str = ENVIRONMENT["MGE_METRICS_TOKEN"]

# --- Where the site is found ------------------------------------------------------------------------------------------

MGE_HOST: str = ENVIRONMENT["MGE_HOST"]
MGE_PORT: int = ENVIRONMENT["MGE_PORT"]
MGE_PUBLIC_URL: str = ENVIRONMENT["MGE_PUBLIC_URL"]
MGE_STOP_GRACE_SECONDS: float = ENVIRONMENT["MGE_STOP_GRACE_SECONDS"]
if MGE_HOST not in (*ALLOWED_HOSTS, "0.0.0.0"):  # noqa: S104  compared, not bound
    ALLOWED_HOSTS.append(MGE_HOST)
if MGE_PUBLIC_URL:
    ALLOWED_HOSTS.append(str(urlsplit(MGE_PUBLIC_URL).hostname))
    CSRF_TRUSTED_ORIGINS = [MGE_PUBLIC_URL]
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = MGE_PUBLIC_URL.startswith("https://")

# --- Engine ---------------------------------------------------------------------------------------------------------

MGE_MAX_CONCURRENCY: int = ENVIRONMENT["MGE_MAX_CONCURRENCY"]
MGE_MAX_IN_FLIGHT: int = ENVIRONMENT["MGE_MAX_IN_FLIGHT"]
MGE_RUNNER_CAPACITY: int = ENVIRONMENT["MGE_RUNNER_CAPACITY"]
MGE_SLICE_SECONDS: float = ENVIRONMENT["MGE_SLICE_SECONDS"]
MGE_LEASE_SECONDS: float = ENVIRONMENT["MGE_LEASE_SECONDS"]
MGE_DRAIN_SECONDS: float = ENVIRONMENT["MGE_DRAIN_SECONDS"]
MGE_RECONCILE_SECONDS: float = ENVIRONMENT["MGE_RECONCILE_SECONDS"]
MGE_CANARY_SECONDS: float = ENVIRONMENT["MGE_CANARY_SECONDS"]
MGE_COMMIT_WINDOW_MS: float = ENVIRONMENT["MGE_COMMIT_WINDOW_MS"]
MGE_PREPARED_STATEMENTS: bool = ENVIRONMENT["MGE_PREPARED_STATEMENTS"]
MGE_CALL_TIMEOUT_SECONDS: float = ENVIRONMENT["MGE_CALL_TIMEOUT_SECONDS"]
MGE_PROVIDER_BACKOFF_SECONDS: float = ENVIRONMENT["MGE_PROVIDER_BACKOFF_SECONDS"]
MGE_PROVIDER_BACKOFF_MAX_SECONDS: float = ENVIRONMENT["MGE_PROVIDER_BACKOFF_MAX_SECONDS"]
MGE_PROVIDER_MAX_FAULTS: int = ENVIRONMENT["MGE_PROVIDER_MAX_FAULTS"]
MGE_PROVIDER_WINDOW_SECONDS: float = ENVIRONMENT["MGE_PROVIDER_WINDOW_SECONDS"]
MGE_DEPENDENCY_BODIES: int = ENVIRONMENT["MGE_DEPENDENCY_BODIES"]
MGE_CACHE: bool = ENVIRONMENT["MGE_CACHE"]
MGE_ALLOW_UNISOLATED: bool = ENVIRONMENT["MGE_EXECUTION"] == UNISOLATED_WORDS
MGE_MAX_DEATHS = 5
MGE_NODE_ID: uuid.UUID | None = ENVIRONMENT["MGE_NODE_ID"]

MGE_WORKERS: int = ENVIRONMENT["MGE_WORKERS"]
# A runner's task may last a slice, then the slowest call in flight, then its validation. `retry` must exceed what a
# prefetched message may wait as well: the lock's clock starts when the pusher dequeues, not when the task starts.
_q_timeout = int(MGE_SLICE_SECONDS + MGE_CALL_TIMEOUT_SECONDS) + 120
_q_queue_limit = 1
Q_CLUSTER: dict[str, Any] = {
    "name": "mge",
    "label": "Queue",
    "workers": MGE_WORKERS,
    "timeout": _q_timeout,
    "retry": (_q_timeout + 4) * (1 + math.ceil((_q_queue_limit + 1) / MGE_WORKERS)),
    "queue_limit": _q_queue_limit,
    "bulk": 1,
    "poll": 0.1,
    "guard_cycle": 0.5,
    "catch_up": False,
    "max_attempts": 1,
    "ack_failures": True,
    "save_limit": -1,
    # One of them is the queue. Redis forgets a message that it hands out; the reconciler rings again for what got lost.
    **({"redis": REDIS_URL} if REDIS_URL else {"orm": "default"}),
    "ALT_CLUSTERS": {},
}

# --- Model ----------------------------------------------------------------------------------------------------------

ANTHROPIC_API_KEY: str = ENVIRONMENT["ANTHROPIC_API_KEY"]
ANTHROPIC_BASE_URL: str = ENVIRONMENT["ANTHROPIC_BASE_URL"]
MGE_MODEL: str = ENVIRONMENT["MGE_MODEL"]
MGE_SCRIPTED_ANSWERS: tuple[Path, ...] = ENVIRONMENT["MGE_SCRIPTED_ANSWERS"]
MGE_SCRIPTED_NEAR_MISS_SHARE: float = ENVIRONMENT["MGE_SCRIPTED_NEAR_MISS_SHARE"]
MGE_SCRIPTED_SEED: int = ENVIRONMENT["MGE_SCRIPTED_SEED"]
MGE_SCRIPTED_LATENCY: str = ENVIRONMENT["MGE_SCRIPTED_LATENCY"]

# --- Logs: execution, atom and attempt ids, never prompts, code or keys ----------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        "executions": {"level": ENVIRONMENT["MGE_LOG_LEVEL"]},
        "django-q": {"level": "WARNING"},
    },
}
