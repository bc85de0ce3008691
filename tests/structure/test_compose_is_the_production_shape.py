"""`docker-compose.yml`, without an engine: what it says is what the processes ask for, and nothing is secret in it."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deploy.compose_secrets import write_secrets
from deploy.front import MAKERS
from deploy.secrets import required
from services.booking.keys import Keys as BookingKeys
from services.booking.settings import load_settings as load_booking
from services.notifications.keys import make_keys as notifications_keys
from services.notifications.settings import load_settings as load_notifications
from services.routing.keys import make_keys as routing_keys
from services.routing.settings import load_settings as load_routing
from shared.events.subscriptions import SERVICES
from shared.settings import variable_name
from tests.compose import ASKED, COMPOSE_FILE, Compose, environ_of, read_compose

JOBS = {"provision", "operator", "publisher", "keys", "backup"}
OWNERS_JOBS = {"provision", "backup"}
PROCESSES = {f"{service}-{kind}" for service in SERVICES for kind in ("web", "worker")}
OURS = JOBS | PROCESSES | {"sink"}
LOADERS: dict[str, tuple[Callable[[Mapping[str, str]], Any], Callable[[Any], Any]]] = {
    "routing": (load_routing, routing_keys),
    "booking": (load_booking, BookingKeys.from_settings),
    "notifications": (load_notifications, notifications_keys),
}
# Read by deploy/front.py, beside the settings of a service.
OF_THE_FRONT = {"CHOUDO_PROXY_ADDRESS"}
_SECRET = re.compile(r"PASSWORD|TOKEN|KEY|DATABASE_URL|REDIS_URL")
_PUBLISHED = {"CHOUDO_TOKEN_PUBLIC_KEY", "CHOUDO_BOX_PUBLIC_KEYS"}


@pytest.fixture(scope="module")
def compose() -> Compose:
    return read_compose()


def service_of(name: str) -> str | None:
    return name.rpartition("-")[0] if name in PROCESSES else None


def test_every_process_of_production_is_there(compose: Compose) -> None:
    assert set(compose["services"]) == OURS | {"proxy", "postgres", "valkey"}
    assert {name: service["profiles"] for name, service in compose["services"].items() if "profiles" in service} == {
        "operator": ["operator"],
        "keys": ["operator"],
        "backup": ["operator"],
        "sink": ["trial"],
    }


@pytest.mark.parametrize("name", sorted(OURS))
def test_commands_exist(compose: Compose, name: str) -> None:
    service = compose["services"][name]
    program, option, module, *arguments = service.get("entrypoint") or service["command"]
    assert (program, option) == ("python", "-m")
    assert find_spec(module) is not None, module
    if name.endswith("-web"):
        assert f"--only={service_of(name)}" in arguments
        assert service_of(name) in MAKERS
    if name.endswith("-worker"):
        assert module == f"services.{service_of(name)}.worker"


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("kind", ["web", "worker"])
def test_a_process_starts_with_what_it_is_given(compose: Compose, tmp_path: Path, service: str, kind: str) -> None:
    """The very settings and keys, read from the very files that `deploy.compose_secrets` writes."""
    write_secrets(tmp_path)
    given = compose["services"][f"{service}-{kind}"]
    load, make_keys = LOADERS[service]
    settings = load(environ_of(given, tmp_path))
    make_keys(settings)
    assert settings.environment == "production"
    assert settings.default_municipality is None
    assert settings.metrics_address == "0.0.0.0:9100"
    known = {variable_name(field, service) for field in msgspec.structs.fields(type(settings))}
    assert {name.removesuffix("_FILE") for name in given["environment"]} <= known | OF_THE_FRONT


def test_whatever_sends_can_be_given(compose: Compose) -> None:
    """Every provider, and all that one of them needs: what is left out here nobody could set without an override."""
    fields = msgspec.structs.fields(load_notifications.__annotations__["return"])
    known = {variable_name(field, "notifications") for field in fields}
    for kind in ("web", "worker"):
        given = {name.removesuffix("_FILE") for name in compose["services"][f"notifications-{kind}"]["environment"]}
        assert known - given == {"CHOUDO_DEFAULT_MUNICIPALITY", "CHOUDO_NOTIFICATIONS_DATABASE_POOL_SIZE"}


@pytest.mark.parametrize("job", sorted(JOBS))
def test_jobs_find_their_urls(compose: Compose, tmp_path: Path, job: str) -> None:
    write_secrets(tmp_path)
    environ = environ_of(compose["services"][job], tmp_path)
    kinds = ("DATABASE_URL", "OWNER_DATABASE_URL") if job in OWNERS_JOBS else ("DATABASE_URL",)
    admins = () if job == "keys" else ("DATABASE_URL",)
    for name in (*admins, *(f"CHOUDO_{service.upper()}_{kind}" for service in SERVICES for kind in kinds)):
        assert "@postgres:5432/" in required(environ, name)


def test_nobody_has_more_secrets_than_he_needs(compose: Compose) -> None:
    for name, service in compose["services"].items():
        files = {
            path.rpartition("/")[2] for path in service.get("environment", {}).values() if "/run/secrets/" in str(path)
        }
        mounted = set(service.get("secrets", ()))
        assert files == mounted - {"VALKEY_CONF"}, name
        own = service_of(name)
        for other in SERVICES:
            if own is not None and other != own:
                assert not [secret for secret in mounted if f"_{other.upper()}_" in secret], name
        if own != "routing":
            assert "CHOUDO_TOKEN_PRIVATE_KEY" not in mounted, name
        if name not in JOBS - {"keys"}:
            assert "DATABASE_URL" not in mounted, name
            assert not [secret for secret in mounted if "OWNER" in secret], name


def test_secrets_are_files_and_are_written(compose: Compose, tmp_path: Path) -> None:
    declared = compose["secrets"]
    assert {name: secret["file"] for name, secret in declared.items()} == {
        name: f"./.choudo/compose/{name}" for name in declared
    }
    assert set(declared) == {path.name for path in write_secrets(tmp_path)}
    assert {secret for service in compose["services"].values() for secret in service.get("secrets", ())} == set(
        declared
    )
    for service in compose["services"].values():
        for name, value in service.get("environment", {}).items():
            if _SECRET.search(name) and name not in _PUBLISHED:
                assert name.endswith("_FILE"), name
                assert value.startswith("/run/secrets/"), name


def test_what_runs_on_is_watched_and_comes_back(compose: Compose) -> None:
    for name, service in compose["services"].items():
        # The publisher goes on like a process, and nothing of it listens: it ends when it can do nothing.
        is_job = name in JOBS - {"publisher"}
        assert service["restart"] == ("no" if is_job else "unless-stopped"), name
        assert ("healthcheck" in service) == (not is_job and name not in ("proxy", "publisher")), name
        if name in OURS:
            assert service["read_only"], name
            assert service["cap_drop"] == ["ALL"], name
        if service_of(name) is not None:
            assert service["depends_on"]["provision"] == {"condition": "service_completed_successfully"}


def test_images_have_versions_and_mounted_files_exist(compose: Compose, root_dir: Path) -> None:
    for name, service in compose["services"].items():
        if name not in OURS:
            assert re.fullmatch(r"[a-z/]+:\d[\w.-]*", service["image"]), name
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert (root_dir / source).exists() if source.startswith(".") else source in compose["volumes"], volume
    dockerfile = (root_dir / "deploy" / "Dockerfile").read_text("utf-8")
    for image in re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE):
        assert re.fullmatch(r"[a-z]+:\d[\w.-]+", image), image
    allowed = (root_dir / ".dockerignore").read_text("utf-8").split()
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE):
        for source in sources.split():
            assert (root_dir / source).exists(), source
            assert f"!{source}" in allowed, source


def test_the_proxy_is_who_the_services_believe_and_finds_them(compose: Compose, root_dir: Path) -> None:
    """Without `ip_range` a worker that starts first may be given the proxy's address."""
    proxy = ipaddress.ip_address(compose["services"]["proxy"]["networks"]["inside"]["ipv4_address"])
    [config] = compose["networks"]["inside"]["ipam"]["config"]
    assert proxy in ipaddress.ip_network(config["subnet"])
    assert proxy not in ipaddress.ip_network(config["ip_range"])
    assert ipaddress.ip_network(config["ip_range"]).subnet_of(ipaddress.ip_network(config["subnet"]))  # type: ignore[arg-type]
    for service in SERVICES:
        assert compose["services"][f"{service}-web"]["environment"]["CHOUDO_PROXY_ADDRESS"] == str(proxy)
    caddyfile = (root_dir / "deploy" / "Caddyfile").read_text("utf-8")
    defaults = set(re.findall(r"\{\$CHOUDO_[A-Z]+_WEB:([^}]+)\}", caddyfile))
    assert defaults == {f"{service}-web:8000" for service in SERVICES}
    [pages] = re.findall(r"\{\$CHOUDO_PROXY_PAGES:([^}]+)\}", caddyfile)
    assert f"./deploy/proxy_pages:{pages}:ro" in compose["services"]["proxy"]["volumes"]
    assert (root_dir / "deploy" / "proxy_pages" / "unavailable.html").exists()
    # Nobody but the proxy can be reached from outside; a trial's messages are read on this host.
    ports = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert set(ports) == {"proxy", "sink"}
    assert all(port.startswith("127.0.0.1:") for port in ports["sink"])


def test_only_who_calls_others_reaches_the_outside(compose: Compose) -> None:
    outside = {name for name, service in compose["services"].items() if "outside" in service["networks"]}
    assert outside == {"proxy", "notifications-worker", "booking-worker", "sink"}
    assert compose["networks"]["inside"]["internal"] is True


def test_the_example_of_an_environment_says_what_each_variable_means(root_dir: Path) -> None:
    """Every variable that compose asks for and no other; and each is read by somebody."""
    paragraphs = (root_dir / "deploy" / "environment.example").read_text("utf-8").strip().split("\n\n")[1:]
    told = [re.fullmatch(r"# \S.*\n(CHOUDO_[A-Z_]+)=\S*", paragraph) for paragraph in paragraphs]
    assert all(told), "a line of meaning, then the variable"
    names = {found[1] for found in told if found}
    text = COMPOSE_FILE.read_text("utf-8")
    assert names == {found[1] for found in ASKED.finditer(text)}
    assert text.count("${") == len(ASKED.findall(text)), "asked in another way"
    read = {
        variable_name(field, service)
        for service, (load, _) in LOADERS.items()
        for field in msgspec.structs.fields(load.__annotations__["return"])
    }
    caddyfile = (root_dir / "deploy" / "Caddyfile").read_text("utf-8")
    # The user of the processes is compose's own affair.
    assert names - read - {"CHOUDO_UID"} == {name for name in names if f"{{${name}:" in caddyfile} == {"CHOUDO_SITE"}
