"""Django's settings for the django-q2 cluster. PEERS_DATABASE: URL of the database; PEERS_MODEL: of the model."""

from __future__ import annotations

import os

import dj_database_url

SECRET_KEY = "only signs the tasks of a benchmark"  # noqa: S105
USE_TZ = True
INSTALLED_APPS = ["django.contrib.contenttypes", "django_q"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
# Without kept connections each task would pay for a new one.
DATABASES = {"default": dj_database_url.parse(os.environ["PEERS_DATABASE"], conn_max_age=300)}
Q_CLUSTER = {
    "name": "peers",
    "orm": "default",
    "workers": 16,
    "poll": 0.05,
    "timeout": 600,
    "retry": 660,
    "save_limit": 0,  # all of them: the parent reads the results
}
