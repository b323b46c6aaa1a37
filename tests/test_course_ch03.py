"""Answers to the exercises of chapter 03, right and wrong ones, and the practice server."""

import socket
import urllib.request

from judging import Judged

from bigdata_ai.course import ch03
from bigdata_ai.course.exercise import Exercise
from bigdata_ai.data.acquire.http import Paging, cursor, next_link, page_number

EXERCISES = {name: value for name, value in vars(ch03).items() if isinstance(value, Exercise)}


def hashes(provenance):
    return {part["where"]: part["sha256"] for part in provenance.parts}


def differing(before, now):
    return sorted({name for name, _ in set(hashes(before).items()) ^ set(hashes(now).items())})


def by_offset(ends=lambda offset, body, rows: offset >= body["total"], step=lambda rows: rows):
    def after(body, rows, url, params, links):
        offset = int(params["offset"]) + step(rows)
        return None if ends(offset, body, rows) else (url, {"offset": offset})

    return Paging(after, {"offset": 0})


ANSWERS = {
    "find": {
        "right": [
            lambda name: ("select * from people where name = :name", {"name": name}),
            lambda who: ["select id, name from people where name in (:x) order by id", {"x": who}],
        ],
        "wrong": [
            (
                lambda name: (f"select * from people where name = '{name}'", {}),
                "bound, never pasted",
            ),
            (lambda name: (f"select * from people where name = {name!r}", {}), "never pasted"),
            (
                lambda name: ("select * from people where name = ?", {"name": name}),
                "written as :name",
            ),
            (lambda name: ("select * from people where name = " + name, {}), "must answer"),
            (lambda name: ("select * from people", {}), "ids [0, 1, 2, 3, 4]"),
            (
                lambda name: ("select name from people where name = :name", {"name": name}),
                "every column",
            ),
            (lambda name: "select * from people", "must give back a pair"),
            ("select", "must be the function find"),
        ],
    },
    "wait_s": {
        "right": [
            lambda tries, retry_after: (
                min(60, 2.0 ** (tries - 1))
                if retry_after is None
                else retry_after
                if retry_after <= 60
                else float("inf")
            ),
            lambda n, wish: [min(60, 0.5 * 2**n), wish, float("inf")][
                0 if wish is None else 1 + (wish > 60)
            ],
        ],
        "wrong": [
            (lambda n, wish: min(60, wish or 0.5 * 2**n), "Retry-After of 0"),
            (lambda n, wish: 0.5 * 2**n if wish is None else wish, "after 7 further tries"),
            (lambda n, wish: min(60, 2**n) if wish is None else wish, "after 0 further tries"),
            (
                lambda n, wish: min(60, 0.5 * 2**n) if wish is None else min(60, wish),
                "must not be shortened",
            ),
            (lambda n: 1, "TypeError"),
            (3, "must be the function wait_s"),
        ],
    },
    "offsets": {
        "right": [by_offset(), by_offset(step=lambda rows: 4)],
        "wrong": [
            (page_number("offset", 0), "must come"),
            (Paging(lambda *_: None), "All of 10 rows"),
            (next_link("next"), "All of 10 rows"),
            (cursor("offset", "total"), "rows must come"),
            (by_offset(lambda offset, body, rows: rows == 0), "No page must be asked for"),
            (by_offset(lambda offset, body, rows: False), "come to its end"),
            (by_offset(step=lambda rows: rows + 1), "All of 10 rows"),
            (lambda body: None, "must be a Paging"),
        ],
    },
    "changed": {
        "right": [differing, lambda before, now: tuple(differing(before, now))],
        "wrong": [
            (
                lambda before, now: sorted(hashes(before).keys() ^ hashes(now).keys()),
                "edited.csv must be",
            ),
            (lambda before, now: sorted(hashes(before) | hashes(now)), "same.csv must not"),
            (
                lambda before, now: [n for n in differing(before, now) if n in hashes(now)],
                "gone.csv must be",
            ),
            (lambda before, now: differing(before, now)[::-1], "sorted"),
            (lambda before, now: differing(before, now) * 2, "sorted"),
            (
                lambda before, now: [p["where"] for p in now.parts if p not in before.parts],
                "gone.csv",
            ),
            (lambda before, now: before.files, "AttributeError"),
            (["a.csv"], "must be the function changed"),
        ],
    },
}


class TestAnswers(Judged):
    EXERCISES, ANSWERS = EXERCISES, ANSWERS
    VALUES = ("offsets",)


def test_the_practice_server_is_on_this_machine_alone_and_stops():
    with ch03.PracticeServer({"/a": {"数": 1}}) as server:
        assert server.url.startswith("http://127.0.0.1:")
        assert urllib.request.urlopen(
            f"{server.url}/a"
        ).read().decode() == '{"数": 1}' and server.paths() == ["/a"]
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(server.url.rpartition(":")[2]))) != 0
