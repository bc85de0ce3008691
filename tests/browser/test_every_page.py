# ruff: noqa: F401, I001 -- the walks are imported to be run here, in the order in which they are walked
"""Every page in its states, looked at closely: residents and helpers at phone size, staff at tablet size.

The walks are in `walks/`, by what is walked. They run here, one after the other on the same town: the closing tests see
where all of them have been.
"""

import re
from collections.abc import Iterator
from typing import get_args
from urllib.parse import urlsplit

import pytest
from litestar.response import Template
from playwright.sync_api import Page

from tests.browser.eyes import look_closely
from tests.browser.identifying import provider
from tests.browser.residents import See
from tests.browser.walks.asked import UNKNOWN
from tests.browser.walks.beginning import test_before_anybody_came, test_what_is_refused
from tests.browser.walks.counter import (
    test_a_counter_from_the_booking_to_the_end,
    test_somebody_is_sent_to_another_counter,
    test_what_was_given_stands_beside_the_line,
    test_a_day_is_closed,
    test_an_earlier_time,
    test_one_visit_for_everything,
)
from tests.browser.walks.door import test_a_phone_at_the_door
from tests.browser.walks.online import test_online_from_a_life_event_to_the_end, test_what_people_say_and_everybody_sees
from tests.browser.walks.own_data import (
    test_a_person_has_their_information_erased,
    test_a_family_and_who_is_protected,
    test_what_a_resident_asks_about_their_history,
)
from tests.browser.walks.desk import test_what_is_prepared_at_home, test_what_staff_enter_on_somebodys_behalf
from tests.browser.walks.helpers import test_helpers_and_who_asks_for_one
from tests.browser.walks.coordinator import test_who_runs_the_helpers
from tests.browser.walks.own_page import test_a_helpers_own_pages
from tests.browser.walks.gaps import test_single_days_and_gaps
from tests.browser.walks.signing_in import test_a_helper_gives_a_contact_and_signs_in_by_it
from tests.browser.walks.classes import test_a_class_from_the_draft_to_the_list_of_who_comes
from tests.browser.walks.matching import test_who_leaves_the_time_to_the_town
from tests.browser.walks.in_class import test_who_would_come_to_a_class
from tests.browser.walks.together import test_a_helper_beside_somebody
from tests.browser.walks.running import (
    test_when_a_counter_is_open,
    test_the_machine_in_the_lobby,
    test_whom_no_notice_reached,
    test_what_stopped_between_the_services,
    test_a_draw,
    test_another_system_is_told,
)
from tests.browser.walks.delivery_log import test_the_delivery_log_as_staff_read_it
from tests.browser.walks.following import test_the_thread_of_a_case_and_its_prints, test_another_way_after_all
from tests.browser.walks.wishes import (
    test_a_contact_that_was_not_reached_is_asked_about,
    test_how_somebody_wants_to_be_told,
)
from tests.browser.walks.by_hand import test_a_call_and_what_comes_of_it, test_a_letter_to_the_letter_box_and_back
from tests.browser.walks.hall import test_the_hall_as_those_see_it_who_run_it
from tests.browser.walks.editing import test_the_catalogue_is_edited_looked_at_and_published
from tests.browser.walks.systems import test_another_system_may_have_people_told
from tests.browser.walks.words import test_a_town_says_it_in_its_own_words
from tests.browser.walks.many import test_a_town_writes_to_many
from tests.browser.walks.sending import (
    test_one_form_for_a_birth,
    test_photos_go_with_an_application,
    test_another_device_and_the_rest_by_post,
    test_who_sends_it_is_asked_elsewhere,
)
from tests.structure.conftest import Route, apps, environ, routes

__all__ = ["apps", "environ", "provider", "routes"]


@pytest.fixture(scope="module")
def seen_paths() -> set[str]:
    """Where the walks have been."""
    return set()


@pytest.fixture
def see(seen_paths: set[str]) -> Iterator[See]:
    """Look closely and go on: one run tells all that it found."""
    found: list[str] = []

    def see(page: Page, name: str) -> None:
        seen_paths.add(urlsplit(page.url).path)
        found.extend(look_closely(page, name))

    yield see
    assert not found, "\n".join(found)


# Pieces of pages, which stand on a page that was looked at.
PIECES = {"/board/now", "/counter/line", "/counter/alarms", "/counter/today/now"}


def test_no_page_was_left_out(seen_paths: set[str], routes: list[Route]) -> None:
    """Comes last: it counts the pages that the walks above came to."""
    pages = {
        route.path
        for route in routes
        if route.method == "GET" and Template in (route.answer, *get_args(route.answer)) and route.path not in PIECES
    }
    left_out = {path for path in pages if not any(route_matches(path, seen) for seen in seen_paths)}
    assert left_out == set()


def test_every_page_can_be_opened_again_by_its_address(seen_paths: set[str], routes: list[Route]) -> None:
    """Whoever reloads by the address line, or keeps it, must not be told that this cannot be done."""
    known = {route.path for route in routes if route.method == "GET"}
    lost = {seen for seen in seen_paths - {UNKNOWN} if not any(route_matches(path, seen) for path in known)}
    assert lost == set()


def route_matches(template: str, path: str) -> bool:
    return re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path) is not None
