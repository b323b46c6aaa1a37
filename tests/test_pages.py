"""A payload in every field of every page, report and widget of the kit: it is shown, and does nothing."""

import ast
import html
import json
import re
from dataclasses import fields, replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from bigdata_ai.core import package_path
from bigdata_ai.data.labels.annotate import Annotator, widget
from bigdata_ai.data.prepare.clean import Cleaner
from bigdata_ai.data.prepare.cleaning_rules import Missing
from bigdata_ai.data.profile import profile
from bigdata_ai.evaluation import Scores
from bigdata_ai.experiment import report as reports
from bigdata_ai.pages import escape, html_page, link, table_html
from bigdata_ai.value.advisor import Advice

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'><svg/onload=alert(3)>&lt;b&gt;"


class Elements(HTMLParser):
    "The elements of a page, and their attributes."

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


def harmless(text):
    "Whether a page has no element that acts and no address that does."
    page = Elements(text)
    acting = {"script", "iframe", "object", "embed", "form", "base"} & {*page.tags}
    handlers = [name for name, _ in page.attributes if name.startswith("on")]
    addresses = [value for name, value in page.attributes if name in ("href", "src")]
    schemes = [one for one in addresses if re.match(r"\s*[a-z]+:", one, re.I)]
    return not acting and not handlers and all(one.startswith("data:image/") for one in schemes)


def test_h6_the_door_itself():
    assert not harmless(EVIL) and harmless(escape(EVIL)) and html.unescape(escape(EVIL)) == EVIL
    assert harmless(
        f'<a href="{link("javascript:alert(1)//" + EVIL)}" title="{escape(EVIL)}">x</a>'
    )
    assert harmless(
        f'<a href="{link("data:text/html,x")}">x</a><a href="{link("//evil.example")}">x</a>'
    )
    assert harmless(html_page(EVIL, escape(EVIL)))


@pytest.mark.parametrize("index", [True, False])
def test_h6_tables(index):
    frame = pd.DataFrame({EVIL: [EVIL, None], "b": [[EVIL], {EVIL: EVIL}]}, index=[EVIL, 2])
    frame.columns.name = frame.index.name = EVIL
    text = table_html(frame, index=index)
    assert harmless(text) and "alert(1)" in text
    twice = pd.DataFrame([[1.5, 2]], columns=["a", "a"])
    assert table_html(twice, {"a": "{:.2f}"}).count("<td>") == 2


def test_h6_reports_of_cleaning():
    frame = pd.DataFrame({EVIL: [EVIL, " x", None, "y"] * 3, "n": [1.0, None, 3.0, 4.0] * 3})
    cleaner = Cleaner([Missing(EVIL, how="constant", value=EVIL), Missing("n", how="median")])
    cleaner.fit(frame)
    text = cleaner.report(frame)._repr_html_()
    assert harmless(text) and "alert(1)" in text


def test_h6_profiles():
    frame = pd.DataFrame({EVIL: [EVIL, "b"] * 10, "n": range(20)})
    text = profile(frame, name=EVIL)._repr_html_()
    assert harmless(text) and text.count("alert(1)") >= 2


def filled(kind, **known):
    "A value of a data class with a payload in every field of text."
    values = {one.name: EVIL for one in fields(kind)}
    return kind(**values | known)


def test_h6_scores():
    table = pd.DataFrame({"metric": [EVIL], "average": [EVIL], "value": [0.5], "low": [0.4]})
    scores = filled(Scores, table=table)
    assert harmless(scores._repr_html_())


def test_h6_advice(tmp_path):
    ranking = pd.DataFrame(
        {"spend": [EVIL], "units": [3.0], "gain": [0.1], "low": [0.0], "high": [0.2]}
    )
    ranking = ranking.assign(per_1000=0.5, best=0.5)
    numbers = dict.fromkeys(("error", "control", "wrong", "budget"), 0.5)
    known = {"repeats": 3, "decided": False, "warnings": (EVIL,)}
    advice = filled(Advice, ranking=ranking, **numbers | known)
    page = Path(advice.report(tmp_path / "advice.html", title=EVIL)).read_text()
    assert harmless(page) and page.count("alert(1)") >= 4


def test_h6_widgets(tmp_path):
    annotator = Annotator([EVIL, "b"], [EVIL, "no"], tmp_path / "x.jsonl", annotator=EVIL)
    shown, texts = [widget(annotator)], []
    annotator.label = lambda *_: (_ for _ in ()).throw(OSError(EVIL))
    while shown:
        part = shown.pop()
        shown += getattr(part, "children", ())
        if type(part).__name__ == "Button" and "alert(1)" in part.description:
            part.click()
        if type(part).__name__ == "HTML":
            texts.append(part)
    assert texts and all(harmless(part.value) for part in texts)
    assert any("alert(1)" in part.value for part in texts)


def evil_tree(value):
    "A value with a payload in every text and every name inside."
    if isinstance(value, dict):
        return {key: evil_tree(one) for key, one in value.items()} | {EVIL: EVIL}
    if isinstance(value, list | tuple):
        return type(value)(evil_tree(one) for one in value)
    if isinstance(value, pd.DataFrame):
        return value.astype(object).map(evil_tree).rename(columns=lambda name: f"{name}{EVIL}")
    return value + EVIL if isinstance(value, str) else value


def test_h6_every_field_of_a_report(tmp_path, monkeypatch):
    evidence = reports.recorded("volume")
    part = reports._part(evidence, tmp_path)
    known = {"answer", "judged", "claims", "curve", "laws", "facts", "about", "image"}
    evil = {key: evil_tree(value) if key not in known else value for key, value in part.items()}
    evil["claims"] = [
        replace(one, text=EVIL, control=EVIL, published=EVIL) for one in part["claims"]
    ]
    evil["answer"] = {verdict: [EVIL] for verdict in part["answer"]}
    evil["judged"] = [evil_tree(line) | {"claim": f"a.{EVIL}"} for line in part["judged"]]
    evil["about"] = evil_tree(part["about"] | {"quote_en": EVIL, "article": EVIL, "metric": EVIL})
    evil["facts"] = evil_tree(part["facts"])
    evil["curve"] = evil_tree(part["curve"])
    evil["notebooks"] = {EVIL: [link(f"javascript:alert(1)//{EVIL}.{kind}") for kind in "ab"]}
    for parts in ([evil], [evil, evil]):
        page = reports._write(tmp_path / "x.html", EVIL, parts).read_text()
        assert harmless(page) and page.count("alert(1)") > 30


def test_h6_a_notebook_that_is_named_like_a_script_is_a_link_to_a_file(tmp_path):
    book = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "javascript:alert(1).ipynb").write_text(json.dumps(book))
    (links,) = reports._notebooks(tmp_path, tmp_path).values()
    assert links[0] == "javascript%3Aalert%281%29.html" and harmless(f'<a href="{links[1]}">x</a>')


def test_h6_no_other_module_writes_html_of_its_own():
    "Whoever writes HTML imports the door."
    markup = re.compile(
        r"(?<!\?P)</?(?:p|b|i|td|th|tr|li|ul|table|div|span|a|h[1-6]|html|img|svg)[\s/>]"
    )
    for path in sorted(package_path().rglob("*.py")):
        code = path.read_text(encoding="utf-8")
        assert ".to_html(" not in code or path.name == "pages.py", f"{path}: table_html does that"
        if path.name in ("pages.py", "_modidx.py"):
            continue
        texts = {node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant)}
        writes = any(isinstance(text, str) and markup.search(text) for text in texts)
        if writes or "_repr_html_" in code:
            doors = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom)]
            assert any(node.module == "pages" for node in doors), f"{path} writes HTML of its own"
