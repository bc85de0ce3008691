"""Where webhooks may be sent: what staff type, and what names turn out to be."""

import pytest

from services.booking.settings import load_settings
from shared.errors import Refusal
from shared.settings import MissingSettings
from shared.webhooks.destinations import URL_MAX_LENGTH, Destinations, read_networks
from tests.conftest import TestDatabase

PUBLIC = Destinations()
OWN = Destinations(allowed=read_networks("10.20.0.0/16, 192.168.5.7,fd00:20::/32"))

GOOD = (
    "https://display.example.jp/hook",
    "https://display.example.jp:8443/hook?key=1",
    "https://xn--eckwd4c7c.xn--zckzah/",
    "https://93.184.216.34/",
    "https://[2606:2800:220:1::1]/",
)
UNFIT = (
    "",
    "display.example.jp",
    "http://display.example.jp/hook",
    "ftp://display.example.jp/",
    "file:///etc/passwd",
    "https:///hook",
    "https://user:password@display.example.jp/",
    "https://user@display.example.jp/",
    "https://display.example.jp/#part",
    "https://display.example.jp:port/",
    "https://display.example.jp:99999/",
    "https://[::1/",
    "https://display.example.jp/ hook",
    "https://display.example.jp/\r\nX: y",
    "https://表示.example.jp/",
    "https://display.example.jp\\@10.0.0.1/",
    f"https://display.example.jp/{'x' * URL_MAX_LENGTH}",
)
INSIDE = (
    "https://127.0.0.1/",
    "https://127.0.0.1:5432/",
    "https://10.0.0.5/",
    "https://172.31.254.10/",
    "https://192.168.5.7/",
    "https://169.254.169.254/latest/meta-data/",
    "https://100.64.0.1/",
    "https://0.0.0.0/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://192.0.2.1/",
    "https://localhost/",
    "https://LOCALHOST/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0177.0.0.1/",
    "https://127.0.0.1./",
    "https://[::1]/",
    "https://[::]/",
    "https://[::127.0.0.1]/",
    "https://[::ffff:10.0.0.5]/",
    "https://[::ffff:7f00:1]/",
    "https://[64:ff9b::10.0.0.5]/",
    "https://[64:ff9b:1::10.0.0.5]/",
    "https://[2002:a00:5::]/",
    "https://[fc00::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fec0::1]/",
    "https://[ff02::1]/",
    "https://[2001:db8::1]/",
)


@pytest.mark.parametrize("url", GOOD)
def test_public_addresses_by_https_are_taken(url: str) -> None:
    PUBLIC.check(url)


@pytest.mark.parametrize("url", UNFIT)
def test_what_is_no_plain_https_address_is_refused(url: str) -> None:
    with pytest.raises(Refusal) as refused:
        PUBLIC.check(url)
    assert refused.value.code == "webhook_url_unfit"


@pytest.mark.parametrize("url", INSIDE)
def test_an_address_that_is_not_public_is_refused_however_it_is_written(url: str) -> None:
    with pytest.raises(Refusal) as refused:
        PUBLIC.check(url)
    assert refused.value.code == "webhook_url_inside"


def test_what_the_deployment_lists_of_its_own_network_is_taken_and_nothing_beside_it() -> None:
    for url in (
        "https://10.20.255.255/",
        "https://192.168.5.7/",
        "https://[fd00:20::9]/",
        "https://[::ffff:10.20.0.1]/",
    ):
        OWN.check(url)
    for url in ("https://10.21.0.0/", "https://192.168.5.8/", "https://[fd00:21::9]/", "https://127.0.0.1/"):
        with pytest.raises(Refusal):
            OWN.check(url)
    # By https there, too.
    with pytest.raises(Refusal):
        OWN.check("http://10.20.0.1/")


def test_plain_http_is_for_one_machine_only() -> None:
    Destinations(https_only=False).check("http://display.example.jp/")
    with pytest.raises(Refusal):
        Destinations(https_only=False).check("http://127.0.0.1/")


def test_a_setting_that_is_no_network_stops_the_start(database: TestDatabase) -> None:
    assert load_settings(database.environ).webhook_destinations == Destinations(https_only=False)
    with pytest.raises(MissingSettings, match="WEBHOOK_NETWORKS"):
        load_settings(database.environ | {"CHOUDO_BOOKING_WEBHOOK_NETWORKS": "10.0.0.1/8"})
    production = load_settings(
        database.environ
        | {
            "CHOUDO_ENVIRONMENT": "production",
            "CHOUDO_BOOKING_WEBHOOK_NETWORKS": "10.20.0.0/16,192.168.5.7,fd00:20::/32",
        }
    )
    assert production.webhook_destinations == OWN
