"""The rotation of the CA, explored by Hypothesis: replicas' steps and failures in any order."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from certs.rotation import MAX_PREVIOUS
from tests.certs.world import SETTINGS, START, World, settled

REPLICAS = st.integers(0, 2)
WORK = st.tuples(st.just("act"), REPLICAS)
TOGETHER = st.tuples(st.just("work"), st.integers(1, 15))
TIME = st.tuples(st.just("advance"), st.sampled_from([0.1, 1.0, 2.4, 5.0, 60.0, 6 * 3600.0]))
BEGINS, ENDS = (-400, 3, 400), (-1, 5, 40, 3650)
FAILURE = st.one_of(
    st.tuples(st.just("crash"), REPLICAS),
    st.tuples(st.just("delete_secret")),
    st.tuples(st.just("restore_secret"), st.integers(0, 5)),
    st.tuples(st.just("forget_previous")),
    st.tuples(st.just("spoil_bundle"), st.booleans()),
    st.tuples(st.just("ask_for_rotation")),
    st.tuples(st.just("jump"), REPLICAS, st.sampled_from([-4000, -400, -2, 2, 40, 400, 4000])),
    st.tuples(st.just("plant"), st.sampled_from(["next", "alone"]), st.sampled_from(BEGINS), st.sampled_from(ENDS)),
)
# Mostly work, so that rotations get far enough to be interrupted in each of their states.
HISTORIES = st.lists(st.one_of(WORK, WORK, WORK, TOGETHER, TIME, FAILURE, FAILURE), max_size=60)


@given(HISTORIES)
@example([("ask_for_rotation",), ("work", 12), ("restore_secret", 2), ("work", 2), ("restore_secret", 2)])
def test_every_served_leaf_is_always_verified_and_all_replicas_settle(history: list[tuple[Any, ...]]) -> None:
    world = settled()
    for name, *arguments in history:
        getattr(world, name)(*arguments)
    world.settle()
    assert [world.is_settled(index) for index in range(3)] == [True] * 3


def test_in_an_empty_cluster_all_replicas_agree_on_one_ca() -> None:
    world = settled()
    assert world.ca_secret is not None
    assert world.ca_secret.current is not None
    assert world.bundles == (frozenset([world.ca_secret.current.parsed]),) * 2
    assert all(replica.leaf for replica in world.replicas)


def test_a_ca_is_replaced_in_the_last_third_of_its_validity_and_finally_removed() -> None:
    world = settled()
    assert world.ca_secret is not None
    before = world.ca_secret.current
    while world.ca_secret.current == before:
        assert world.now - START < SETTINGS.ca_validity
        world.advance(3600.0)
        for index in range(3):
            for _ in range(9):
                world.act(index)
    assert world.now - START > SETTINGS.ca_validity * 0.6
    world.settle()
    assert world.ca_secret.previous == ()


@pytest.mark.parametrize("requests", [1, 5])
def test_a_requested_rotation_is_carried_out_once(requests: int) -> None:
    world = settled()
    for _ in range(requests):
        world.ask_for_rotation()
    world.settle()
    assert world.ca_secret is not None
    after = world.ca_secret.current
    world.settle()
    assert world.ca_secret.current == after


def test_the_size_of_bundles_is_limited_however_many_rotations_are_requested() -> None:
    world = settled()
    largest = 0
    for _ in range(40):
        world.ask_for_rotation()
        world.work(12)
        largest = max(largest, len(world.bundles[0]))
    assert largest == MAX_PREVIOUS + 1


def test_a_cluster_that_was_off_for_years_recovers() -> None:
    world = settled()
    for index in range(3):
        world.crash(index)
    world.seconds += datetime.timedelta(days=2000).total_seconds()
    world.settle()
    assert [world.is_settled(index) for index in range(3)] == [True] * 3


def test_a_secret_restored_from_before_a_rotation_causes_no_outage() -> None:
    world = settled()
    before = world.ca_secret
    world.ask_for_rotation()
    world.settle()
    world.restore_secret(world.backups.index(before))
    world.work(60)
    assert [world.is_settled(index) for index in range(3)] == [True] * 3


def test_previous_cas_removed_by_hand_are_no_longer_trusted() -> None:
    world = settled()
    world.ask_for_rotation()
    world.work(20)
    assert len(world.bundles[0]) == 2
    world.forget_previous()
    world.work(2)
    assert world.ca_secret is not None
    assert world.bundles == (world.ca_secret.trusted,) * 2
    assert len(world.ca_secret.trusted) == 1


def test_a_replica_with_a_wrong_clock_creates_no_ca_but_another_replica_does() -> None:
    world = settled()
    world.ask_for_rotation()
    world.jump(0, 3650)
    world.jump(1, -400)
    before = world.ca_secret
    for _ in range(60):
        world.advance(1.0)
        world.act(0)
        world.act(1)
    assert world.ca_secret == before
    world.work(20)
    assert world.ca_secret is not None
    assert world.ca_secret.current is not None
    assert before is not None
    assert before.current != world.ca_secret.current
    assert world.ca_secret.current.ends <= world.now + SETTINGS.ca_validity


@pytest.mark.parametrize("days", [3650, -400])
def test_without_a_ca_the_api_servers_clock_is_used(days: int) -> None:
    world = World()
    for index in range(3):
        world.jump(index, days)
    world.work(20)
    assert [world.is_settled(index) for index in range(3)] == [True] * 3


@pytest.mark.parametrize("days", [3650, -400])
def test_a_replica_with_a_wrong_clock_signs_by_the_api_servers_clock(days: int) -> None:
    world = settled()
    world.jump(0, days)
    for _ in range(26):
        world.advance(3600.0)
        world.work(10)
        leaf = world.replicas[0].leaf
        assert leaf is not None
        assert world.now < leaf.ends <= world.now + SETTINGS.leaf_validity


@pytest.mark.parametrize("place", ["next", "alone"])
@pytest.mark.parametrize(("begin", "end"), [(-400, 3650), (3, 40), (3, 3650), (-400, -1)])
def test_a_ca_created_with_a_wrong_clock_is_replaced_without_an_outage(place: str, begin: int, end: int) -> None:
    world = settled()
    world.plant(place, begin, end)
    world.work(40)
    assert [world.is_settled(index) for index in range(3)] == [True] * 3


def test_a_deleted_secret_is_restored_unchanged() -> None:
    world = settled()
    before = world.ca_secret
    world.delete_secret()
    world.settle()
    assert world.ca_secret == before
