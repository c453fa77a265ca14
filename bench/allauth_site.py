# mypy: disable-error-code="import-untyped,import-not-found"
"""The baseline of the web: Django with django-allauth as most would set it up, one signed-in person.

Sessions in SQLite (WAL, connections kept), allauth's and Django's usual middlewares, templates cached.
BENCH_FOLDER names the folder of its database.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.urls import include, path

EMAIL = "ada@example.org"
FOLDER = Path(os.environ.get("BENCH_FOLDER", "."))

settings.configure(
    SECRET_KEY="bench only, never a secret " * 2,
    DEBUG=False,
    ALLOWED_HOSTS=["localhost"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    SESSION_COOKIE_SECURE=True,
    CSRF_COOKIE_SECURE=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(FOLDER / "django.db"),
            "CONN_MAX_AGE": None,
            "OPTIONS": {"init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL"},
        }
    },
    INSTALLED_APPS=[
        "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "django.contrib.messages",
        "allauth", "allauth.account", "allauth.mfa",
    ],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
        "allauth.account.middleware.AccountMiddleware",
    ],
    AUTHENTICATION_BACKENDS=["allauth.account.auth_backends.AuthenticationBackend"],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request", "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    LOGGING_CONFIG=None,
)  # fmt: skip
django.setup()


def me(request: HttpRequest) -> JsonResponse:
    """The least that a signed-in view can do: who is it?"""
    if not request.user.is_authenticated:
        return JsonResponse({}, status=401)
    user: Any = request.user
    return JsonResponse(
        {"id": user.pk, "email": user.email, "name": user.get_full_name(), "created_at": user.date_joined}
    )


urlpatterns = [path("me", me), path("accounts/", include("allauth.urls"))]


def make_application() -> Any:
    """Factory for granian."""
    from django.core.wsgi import get_wsgi_application

    return get_wsgi_application()


def make_asgi() -> Any:
    """The same as ASGI, for comparing the two."""
    from django.core.asgi import get_asgi_application

    return get_asgi_application()


def prepare() -> str:
    """Schema and a signed-in person; returns the cookie."""
    from allauth.account.models import EmailAddress
    from django.contrib.auth import get_user_model
    from django.core.management import call_command
    from django.test import Client

    call_command("migrate", verbosity=0)
    model: Any = get_user_model()
    user = model.objects.create_user("ada", EMAIL, first_name="Ada", last_name="Example")
    EmailAddress.objects.create(user=user, email=EMAIL, verified=True, primary=True)
    client = Client()
    client.force_login(user, "allauth.account.auth_backends.AuthenticationBackend")
    return f"sessionid={client.cookies['sessionid'].value}"
