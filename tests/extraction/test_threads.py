"""Generators that run ahead of each other, and end together."""

import threading
import time

import pytest

from duetal.extraction.threads import Stages


def count(limit, log=None):
    try:
        yield from range(limit)
    finally:
        if log is not None:
            log.append("closed")


def doubled(items):
    for item in items:
        yield 2 * item


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def test_items_come_in_order_through_all_stages():
    with Stages() as stages:
        found = list(stages.ahead(doubled(stages.ahead(count(100), 3)), 3))
    assert found == list(range(0, 200, 2))


def test_a_stage_works_while_its_consumer_does():
    meeting = threading.Barrier(2)

    def working():
        yield 0
        meeting.wait(timeout=10)
        yield 1

    with Stages() as stages:
        items = stages.ahead(working(), 2)
        assert next(items) == 0
        # Were the next item only made when it is requested, nobody would come.
        meeting.wait(timeout=10)
        assert next(items) == 1


def test_a_stage_is_no_further_ahead_than_it_may():
    made = []

    def noting():
        for number in range(100):
            made.append(number)
            yield number

    with Stages() as stages:
        items = stages.ahead(noting(), 4)
        next(items)
        time.sleep(0.3)
        # One was taken, four wait, and one is in the maker's hands.
        assert len(made) == 6


@pytest.mark.parametrize("error", [ValueError("bad"), KeyboardInterrupt()])
def test_an_error_comes_out_at_the_end_and_ends_all_stages(error):
    log = []

    def failing(items):
        for item in items:
            if item == 3:
                raise error
            yield item

    def run():
        with Stages() as stages:
            middle = stages.ahead(failing(stages.ahead(count(1000, log), 2)), 2)
            return list(stages.ahead(doubled(middle), 2))

    with pytest.raises(type(error)) as caught:
        run()
    assert caught.value is error
    assert log == ["closed"]


def test_leaving_early_ends_all_stages():
    log = []

    def take_one():
        with Stages() as stages:
            items = stages.ahead(doubled(stages.ahead(count(1000, log), 2)), 2)
            yield next(items)

    generator = take_one()
    assert next(generator) == 0
    generator.close()
    assert log == ["closed"]


def test_an_error_of_the_consumer_ends_stages_that_wait():
    def endless():
        while True:
            time.sleep(0.01)
            yield 1

    def never(items):
        for item in items:
            if item == 2:
                yield item

    def run():
        with Stages() as stages:
            stages.ahead(never(stages.ahead(endless(), 1)), 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run()
