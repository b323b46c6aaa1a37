"""Made rows are marked, come out the same whatever the portions, keep what their rule says, and
never touch held-out rows."""

import re
import tomllib
import warnings
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from bigdata_ai.core import InputError, SealedTestError, data_path
from bigdata_ai.data.augment.images import STEPS, Elastic, Flip, Mixup, Noise, Rotate
from bigdata_ai.data.augment.marks import Augmented, Draws
from bigdata_ai.data.augment.images import Shift, augment, rules
from bigdata_ai.data.augment.marks import joined, marked, soft_labels
from bigdata_ai.data.augment.tables import jitter, mixup, smote
from bigdata_ai.data.augment.text import TEXT_STEPS, TURNS, BackTranslation, Deletion, Swap
from bigdata_ai.data.augment.text import Synonyms, augment_text, free_words, is_negation, synonyms
from bigdata_ai.data.augment.text import words
from bigdata_ai.data.catalog import load, load_table
from bigdata_ai.data.tables import Dataset, table
from bigdata_ai.data.sample import balanced, draw_counts
from bigdata_ai.data.leakage import leakage
from bigdata_ai.data.split import folds, hold_out, split, subset
from bigdata_ai.evaluation import evaluate
from bigdata_ai.train.loop import fit
from bigdata_ai.train.spec.network import mlp

quick = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
PICTURE_STEPS = [Shift(3), Rotate(20), Elastic(1.2), Noise(0.1), Flip(sure=True)]


@pytest.fixture(scope="module")
def mnist():
    return load("mnist_5k").take(slice(None, None, 60))


class Fixed:
    "Draws that give one number for everything."

    def __init__(self, value):
        self.value = value

    def uniform(self, name, low=0.0, high=1.0):
        return np.array([self.value])


# Luck


@quick
@given(st.lists(st.integers(0, 5), min_size=1, max_size=12), st.data())
def test_a_row_draws_the_same_in_any_company(ids, data):
    "Up to repeated ids, whose occurrences are counted."
    ids = np.array(sorted(set(ids)))
    some = data.draw(st.lists(st.sampled_from(ids.tolist()), unique=True, min_size=1))
    at = [ids.tolist().index(key) for key in some]
    assert (Draws(ids, 3, "a").uniform("x")[at] == Draws(np.array(some), 3, "a").uniform("x")).all()
    assert (
        Draws(ids, 3, "a").normal("x", 2)[at] == Draws(np.array(some), 3, "a").normal("x", 2)
    ).all()


def test_draws_of_different_scopes_and_twins_differ():
    one = Draws([1, 2, 2], 0)
    assert (
        one.uniform("a")[1] != one.uniform("a")[2]
        and one.uniform("a")[0] != one.uniform("b")[0] != Draws([1], 1).uniform("b")[0]
    )
    many = Draws(np.arange(4000), 0)
    assert many.uniform("u", 2, 4).mean() == pytest.approx(3, rel=0.02) and many.normal(
        "n", 3
    ).std() == pytest.approx(1, rel=0.03)


# Pictures


@pytest.mark.parametrize("step", PICTURE_STEPS, ids=lambda step: type(step).__name__)
def test_a_step_is_seeded_and_does_not_depend_on_portions(step, mnist):
    whole = augment(mnist, [step], copies=2, seed=4, keep=False)
    parts = [
        augment(mnist.take(part), [step], copies=2, seed=4, keep=False)
        for part in (slice(0, 31), slice(31, None))
    ]
    for copy in range(2):
        together = np.concatenate([part.X.reshape(2, -1, 784)[copy] for part in parts])
        assert (whole.X.reshape(2, -1, 784)[copy] == together).all()
    assert not np.array_equal(*whole.X.reshape(2, -1, 784)), "copies differ"
    assert not np.array_equal(whole.X, augment(mnist, [step], copies=2, seed=5, keep=False).X), (
        "seeds differ"
    )
    assert whole.X.dtype == np.float32 and whole.X.min() >= 0 and whole.X.max() <= 1 + 1e-6
    assert (whole.y == np.tile(mnist.y, 2)).all() and (whole.ids == np.tile(mnist.ids, 2)).all()


def test_a_shift_moves_by_whole_pixels_and_loses_no_ink(mnist):
    moved = augment(mnist, [Shift(20)], keep=False)
    assert (np.sort(moved.X, axis=1) == np.sort(mnist.X, axis=1)).all(), (
        "the same pixels in other places"
    )
    image = mnist.X[:1].reshape(1, 28, 28)
    assert np.allclose(
        Shift(2, inside=False, sure=True).apply(image, Fixed(2.0)),
        ndimage.shift(image, (0, 2, 2), order=1),
    )
    assert (
        augment(mnist, [Shift(20, inside=False, sure=True)], keep=False).X.sum(1)
        < 0.9 * mnist.X.sum(1)
    ).any()


@pytest.mark.parametrize("degrees", [-30.0, 12.0, 45.0])
def test_a_turn_is_scipys(degrees, mnist):
    image = mnist.X[:3].reshape(-1, 28, 28)
    ours = np.concatenate([Rotate(45).apply(one[None], Fixed(degrees)) for one in image])
    theirs = ndimage.rotate(image, -degrees, axes=(1, 2), reshape=False, order=1)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_an_elastic_field_has_the_strength_it_says():
    ramp = np.broadcast_to(np.arange(80.0), (40, 80, 80)) / 80
    bent = Elastic(1.5, 4).apply(np.ascontiguousarray(ramp), Draws(np.arange(40), 0))
    assert ((bent - ramp)[:, 20:60, 20:60] * 80).std() == pytest.approx(1.5, rel=0.1)


def test_noise_has_the_deviation_it_says():
    grey = np.full((50, 20, 20), 0.5, np.float32)
    assert (Noise(0.1).apply(grey, Draws(np.arange(50), 0)) - grey).std() == pytest.approx(
        0.1, rel=0.02
    )


def test_a_flip_mirrors_half_of_the_pictures(mnist):
    flipped = augment(mnist, [Flip(sure=True)], keep=False).X.reshape(-1, 28, 28)
    mirrored = (flipped == mnist.X.reshape(-1, 28, 28)[:, :, ::-1]).all(axis=(1, 2))
    assert (
        0.25 < mirrored.mean() < 0.75
        and (flipped[~mirrored] == mnist.X.reshape(-1, 28, 28)[~mirrored]).all()
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda **k: Rotate(46, **k),
        lambda **k: Flip(**k),
        lambda **k: Noise(0.4, **k),
        lambda **k: Elastic(2, 4, **k),
        lambda **k: Shift(2, inside=False, **k),
        lambda **k: Deletion(0.4, **k),
        lambda **k: Deletion(0.1, negations=True, **k),
        lambda **k: Swap(0.5, **k),
    ],
)
def test_what_breaks_a_rule_is_refused_unless_the_caller_is_sure(make):
    with pytest.raises(InputError, match="keeps labels only while"):
        make()
    assert make(sure=True).sure


@pytest.mark.parametrize(
    "make",
    [
        lambda: Rotate(-5, sure=True),
        lambda: Noise(0, sure=True),
        lambda: Elastic(-1, sure=True),
        lambda: Shift(0),
        lambda: Mixup(0),
        lambda: Synonyms(0),
        lambda: Swap(2, sure=True),
        lambda: Rotate(float("nan")),
    ],
)
def test_numbers_that_mean_nothing_are_refused_even_so(make):
    with pytest.raises(InputError):
        make()


def test_every_step_states_its_rule():
    table = rules((*STEPS, *TEXT_STEPS))
    assert len(table) == 10 and table.map(len).min().min() > 15


# Marks, and the side they are on


def test_made_rows_are_marked_and_leak_through_their_parents(mnist):
    rest, held = hold_out(mnist, 0.3)
    more = augment(rest, [Shift(2), Noise(0.05)], copies=2)
    assert Counter(more.made.tolist()) == {"": len(rest), "shift+noise": 2 * len(rest)} and len(
        more
    ) == 3 * len(rest)
    assert len(leakage(more, held)) == 0
    bad = augment(mnist, [Rotate(10)], keep=False)
    assert sorted(leakage(bad, held, checks=("id",))["id"]) == sorted(held.ids)
    twice = augment(bad, [Shift(1)], keep=False)
    assert set(twice.made) == {"rotate+shift"} and (twice.ids == mnist.ids).all()
    assert len(more.take(more.made == "").X) == len(rest) and "made rows" in repr(more)


def test_a_second_parent_leaks_too(mnist):
    mixed = augment(mnist.take(slice(0, 20)), [Mixup(1.0)], keep=False)
    only = mixed.take([0])
    found = leakage(only, mnist, checks=("id",))
    assert sorted(found["id"]) == sorted({only.ids[0], only.partners[0]})


def test_made_rows_are_not_split_and_made_only_of_rows_to_learn_from(mnist):
    train, test = split(mnist)
    more = augment(train, [Shift(1)])
    for refused in (split, hold_out, folds):
        with pytest.raises(InputError, match="measured rows only"):
            refused(more)
    for make in (
        lambda rows: augment(rows, [Shift(1)]),
        jitter,
        smote,
        mixup,
        lambda rows: augment_text(rows, "text", [Swap()]),
    ):
        with pytest.raises(SealedTestError):
            make(test)
        with pytest.raises(InputError, match="held out"):
            make(hold_out(train, 0.3)[1])
    assert test.openings == 0


def test_fit_learns_from_made_rows_and_evaluate_knows_their_parents(backend, mnist):
    model = fit(
        mlp(784, 10), augment(mnist, [Shift(2), Mixup(0.4)], keep=False), backend=backend, epochs=1
    )
    with pytest.warns(UserWarning, match="were trained on"):
        assert evaluate(model, mnist, metrics="accuracy", resamples=20).overlap == len(mnist)


def test_rows_drawn_twice_are_made_into_different_rows(mnist):
    twice = balanced(mnist.take(mnist.y < 2), 40, replace=True)
    made = augment(twice, [Noise(0.1)], keep=False)
    assert len(np.unique(twice.X, axis=0)) < 60 and len(np.unique(made.X, axis=0)) == 80


@pytest.mark.parametrize(
    "change, told",
    [
        (dict(steps=[]), "steps"),
        (dict(steps=[Mixup(), Shift()]), "Mixup last"),
        (dict(steps=["shift"]), "step"),
        (dict(copies=0), "copies"),
        (dict(steps=[Swap()]), "step"),
        (dict(seed=-1), "seed"),
    ],
)
def test_augment_refuses_what_makes_no_sense(change, told, mnist):
    with pytest.raises(InputError, match=told):
        augment(mnist.take(slice(0, 3)), **{"steps": [Shift(1)], **change})


def test_rows_that_are_no_pictures_are_refused():
    plain = Dataset("plain", np.ones((4, 3), np.float32), np.arange(4) % 2, np.arange(4), 2)
    with pytest.raises(InputError, match="image_shape"):
        augment(plain, [Shift(1)])
    assert len(augment(plain, [Mixup()])) == 8


# Mixup


@pytest.mark.parametrize("of", ["pictures", "table"])
def test_mixed_rows_are_blends_with_the_shares_of_their_labels(of, mnist):
    mixed = (
        augment(mnist, [Mixup(1.0)], seed=2, keep=False)
        if of == "pictures"
        else mixup(mnist, 1.0, seed=2, keep=False)
    )
    own, other = mnist.X, mnist.X[[mnist.ids.tolist().index(key) for key in mixed.partners]]
    theirs = mnist.y[[mnist.ids.tolist().index(key) for key in mixed.partners]]
    gap = other - own
    part = 1 - ((mixed.X - own) * gap).sum(1) / (gap**2).sum(1)
    np.testing.assert_allclose(
        mixed.X, part[:, None] * own + (1 - part[:, None]) * other, atol=2e-5
    )
    assert ((part >= 0.5 - 1e-4) & (part <= 1 + 1e-4)).all()
    assert (mixed.ids == mnist.ids).all() and sorted(mixed.partners) == sorted(mnist.ids)
    want = part[:, None] * np.eye(10)[mnist.y] + (1 - part[:, None]) * np.eye(10)[theirs]
    np.testing.assert_allclose(mixed.soft, want, atol=2e-4)
    assert ((mixed.y == mnist.y) | (mixed.y == theirs)).all()


def test_the_drawn_class_has_the_shares_of_the_blend(mnist):
    mixed = augment(mnist, [Mixup(1.0)], copies=100, keep=False)
    chance = mixed.soft[np.arange(len(mixed)), np.tile(mnist.y, 100)]
    stays = mixed.y == np.tile(mnist.y, 100)
    for low, high in ((0.5, 0.6), (0.6, 0.8), (0.8, 0.999)):
        near = (chance > low) & (chance < high)
        assert abs(stays[near].mean() - chance[near].mean()) < 4 * 0.5 / near.sum() ** 0.5


def test_what_is_mixed_does_not_depend_on_the_order_of_the_rows(mnist):
    order = np.random.default_rng(1).permutation(len(mnist))
    one, other = (
        augment(mnist, [Mixup()], keep=False),
        augment(mnist.take(order), [Mixup()], keep=False),
    )
    assert (one.X[order] == other.X).all() and (one.y[order] == other.y).all()


def test_real_valued_targets_are_blended():
    data = Dataset(
        "line", np.arange(40, dtype=np.float64)[:, None], 3.0 * np.arange(40), np.arange(40), 0
    )
    for mixed in (augment(data, [Mixup(1.0)], keep=False), mixup(data, 1.0, keep=False)):
        np.testing.assert_allclose(mixed.y, 3 * mixed.X[:, 0], atol=1e-9)
        assert mixed.soft is None


def test_unmixed_rows_get_hard_shares_when_joined(mnist):
    both = joined([marked(mnist), augment(mnist, [Mixup(1.0)], keep=False)])
    assert (both.soft[: len(mnist)] == soft_labels(mnist)).all() and isinstance(both, Augmented)
    assert subset(both, 7).soft.shape == (7, 10)


# Text


ZH = [
    "宾馆",
    "房间",
    "不",
    "没有",
    "便宜",
    "非常",
    "干净",
    "但是",
    "服务员",
    "热情",
    "，",
    "。",
    "3",
    "元",
    "别",
    "喜欢",
    "无聊",
]
EN = [
    "hotel",
    " ",
    "isn't",
    "not",
    "cheap",
    "really",
    "Great",
    "movie",
    "but",
    ",",
    ".",
    "never",
    "10",
    "loved",
    "without",
    "nice",
]
sentences = st.one_of(
    st.lists(st.sampled_from(ZH), max_size=14).map("".join),
    st.lists(st.sampled_from(EN), max_size=14).map(" ".join),
)
CAREFUL = [
    Synonyms(1.0),
    Deletion(0.3),
    Swap(0.3),
    Synonyms(1.0, own={"热情": ["友好"], "cheap": ["affordable"]}),
]


@settings(quick, max_examples=200)
@given(st.text(max_size=40) | sentences)
def test_words_lose_nothing(text):
    assert "".join(words(text)) == text


@settings(quick, max_examples=100)
@given(st.lists(sentences, min_size=1, max_size=3), st.sampled_from(CAREFUL), st.integers(0, 99))
def test_negations_numbers_and_turns_stay_in_their_order(texts, step, seed):
    """They are compared as the text was cut, since words that come together anew may be cut
    otherwise."""

    def held(text):
        tokens = words(text)
        return [
            token
            for token, free in zip(tokens, free_words(tokens), strict=True)
            if not free and (is_negation(token) or token.lower() in TURNS or token.isdigit())
        ]

    for text, new in zip(texts, step.apply(texts, Draws(np.arange(len(texts)), seed)), strict=True):
        at = 0
        for token in held(text):
            assert token in new[at:], (text, new)
            at = new.index(token, at) + len(token)


@settings(quick, max_examples=60)
@given(sentences, st.integers(0, 99))
def test_deletion_leaves_a_part_and_swap_the_same_words(text, seed):
    draws = Draws([0], seed)
    (shorter,), (swapped,) = Deletion(0.3).apply([text], draws), Swap(0.3).apply([text], draws)
    assert (
        len(shorter) <= len(text)
        and Counter(shorter) <= Counter(text)
        and Counter(swapped) == Counter(text)
    )
    assert bool(re.search(r"\w", shorter)) == bool(re.search(r"\w", text))


def test_what_is_denied_stays_with_its_denial():
    for text, kept in (
        ("The room was not very good", ["not", "very", "good"]),
        ("It isn’t cheap", ["isn’t", "cheap"]),
        ("房间 不 大 但是 干净", ["不", "大", "但是"]),
    ):
        tokens = words(text)
        stays = [
            token
            for token, free in zip(tokens, free_words(tokens), strict=True)
            if not free and token.strip()
        ]
        assert [token for token in stays if token in kept] == kept
    assert free_words(words("Not bad. good")).tolist()[-1]


def test_synonyms_come_from_the_dictionary_and_keep_capitals():
    assert Synonyms(1.0).apply(["Movie and hotel"], Draws([0], 0)) == ["Film and inn"]
    assert Synonyms(1.0, own={"酒店": ["饭店"]}).apply(["酒店。"], Draws([0], 0)) == ["饭店。"]
    changed = Synonyms(0.3).apply(["hotel " * 1000], Draws([0], 0))[0].count("inn")
    assert 230 < changed < 370


def test_the_dictionary_is_sound_and_says_whose_it_is():
    entry = tomllib.loads((data_path() / "synonyms.toml").read_text(encoding="utf-8"))
    assert entry["licence"] and entry["origin"]
    for language in ("zh", "en"):
        every = [word for group in entry[language] for word in group]
        assert (
            len(set(every)) == len(every) > 100
            and not any(map(is_negation, every))
            and not set(every) & TURNS
        )
        assert all(
            word in synonyms(language)[other]
            for word, others in synonyms(language).items()
            for other in others
        )


def test_negations_may_go_only_when_the_caller_is_sure():
    text = "这 本 书 不 好 看 ， 没有 意思"
    gone = Deletion(1.0, negations=True, sure=True).apply([text], Draws([0], 0))[0]
    assert not any(map(is_negation, words(gone))) and re.search(r"\w", gone)


def back_translation(answer):
    return BackTranslation(
        lambda texts: [f"there {text}" for text in texts],
        lambda texts: [answer(text.removeprefix("there ")) for text in texts],
    )


@pytest.mark.parametrize(
    "answer, sound",
    [
        (lambda text: text.replace("房间", "客房"), True),
        (lambda text: "", False),
        (lambda text: "a room", False),
        (lambda text: text.replace("不", ""), False),
        (lambda text: "不" + text, False),
    ],
)
def test_a_back_translation_is_checked(answer, sound):
    text = "房间不大"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        new = back_translation(answer).apply([text], Draws([0], 0))
    assert (
        (new == [answer(text)] and not caught)
        if sound
        else (new == [text] and "1 of 1" in str(caught[0].message))
    )


def test_a_translator_must_give_one_text_for_each():
    for bad in (lambda texts: texts[:-1], lambda texts: [None for _ in texts]):
        with pytest.raises(InputError, match="one text for each"):
            BackTranslation(bad, lambda texts: texts).apply(["a", "b"], Draws([0, 1], 0))


def test_reviews_keep_their_negations_and_labels():
    reviews = load_table("reviews")
    rows = reviews.take(slice(0, len(reviews), 350))
    rest, held = hold_out(rows, 0.3)
    more = augment_text(rest, "text", [Synonyms(0.5), Deletion(0.1), Swap(0.1)], copies=2, seed=1)
    assert len(more) > 2 * len(rest) and len(leakage(more, held, checks=("id",))) == 0
    labels = dict(zip(rest.ids, rest.frame["sentiment"], strict=True))
    texts = dict(zip(rest.ids, rest.frame["text"], strict=True))
    count = lambda text: sum(map(text.count, "不没无未"))  # noqa: E731
    for key, text, label in zip(more.ids, more.frame["text"], more.frame["sentiment"], strict=True):
        assert label == labels[key] and count(text) == count(texts[key])
    again = augment_text(
        rest.take(slice(5, 9)),
        "text",
        [Synonyms(0.5), Deletion(0.1), Swap(0.1)],
        copies=2,
        seed=1,
        keep=False,
    )
    assert set(again.frame["text"]) <= set(more.frame["text"])


def test_texts_in_which_nothing_changed_are_left_out_unless_asked_for():
    frame = table(pd.DataFrame({"text": ["hotel", "xyz"], "y": [0, 1]}), target="y")
    assert augment_text(frame, "text", [Synonyms(1.0)]).made.tolist() == ["", "", "synonyms"]
    assert len(augment_text(frame, "text", [Synonyms(1.0)], unchanged=True)) == 4
    for bad in (dict(column="y2"), dict(steps=[]), dict(steps=[Shift(1)]), dict(copies=0)):
        with pytest.raises(InputError):
            augment_text(frame, **{"column": "text", "steps": [Swap()], **bad})
    with pytest.raises(InputError, match="must hold texts"):
        augment_text(table(pd.DataFrame({"text": ["a", None]})), "text", [Swap()])


# Tables


def people(n=80, rare=14):
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": generator.integers(18, 80, n),
            "income": generator.normal(5, 2, n).round(2),
            "city": generator.choice(list("abc"), n),
            "member": generator.random(n) < 0.5,
            "day": pd.date_range("2024-01-01", periods=n),
            "house": np.arange(n) // 2,
        }
    )
    return table(
        frame.assign(buys=["yes"] * rare + ["no"] * (n - rare)),
        target="buys",
        time="day",
        group="house",
    )


@quick
@given(st.floats(0.01, 0.2), st.integers(0, 99), st.integers(1, 3))
def test_jitter_moves_numbers_a_little_and_nothing_else(share, seed, copies):
    data = people()
    made = jitter(data, share, copies=copies, seed=seed, keep=False)
    old = pd.concat([data.frame] * copies, ignore_index=True)
    fixed = ["city", "member", "day", "house", "buys", "id"]
    assert made.frame[fixed].equals(old[fixed]) and made.frame.dtypes.equals(data.frame.dtypes)
    for name in ("age", "income"):
        moved, low, high = (
            made.frame[name] - old[name],
            data.frame[name].min(),
            data.frame[name].max(),
        )
        assert made.frame[name].between(low, high).all() and moved.std() < 1.5 * share * data.frame[
            name
        ].std() + 0.6 * (name == "age")
    assert (made.frame["income"] != old["income"]).mean() > 0.9


def test_jitter_does_not_depend_on_the_order_of_the_rows():
    data = people()
    order = np.random.default_rng(2).permutation(len(data))
    one, other = jitter(data, keep=False), jitter(data.take(order), keep=False)
    pd.testing.assert_frame_equal(
        one.frame.iloc[order].reset_index(drop=True), other.frame.reset_index(drop=True), rtol=1e-12
    )


def test_a_mixed_table_keeps_categories_that_exist():
    data = people()
    mixed = mixup(data, 1.0, keep=False)
    assert (mixed.frame["city"].to_numpy() == data.frame["city"].to_numpy()).all() and mixed.frame[
        "age"
    ].dtype == data.frame["age"].dtype
    assert (
        mixed.soft.shape == (80, 2)
        and set(mixed.frame["buys"]) == {"yes", "no"}
        and mixed.y.dtype == np.int64
    )


@pytest.mark.parametrize("kind", ["smote", "borderline"])
def test_smote_rows_lie_between_their_parents(kind):
    data = draw_counts(load("breast_cancer"), {0: 60, 1: 150})
    more = smote(data, {0: 140}, kind, seed=1)
    made = more.take(more.made == kind)
    assert len(made) == 80 and (made.y == 0).all() and np.bincount(more.y).tolist() == [140, 150]
    at = {key: i for i, key in enumerate(data.ids.tolist())}
    one, other = (
        data.X[[at[key] for key in keys.tolist()]].astype(np.float64)
        for keys in (made.ids, made.partners)
    )
    assert (data.y[[at[key] for key in made.ids.tolist()]] == 0).all() and (
        made.ids != made.partners
    ).all()
    gap = other - one
    wide = np.abs(gap) > 1e-3 * data.X.std(axis=0)
    part = np.where(wide, (made.X - one) / np.where(wide, gap, 1), np.nan)
    assert (
        np.nanmin(part) > -1e-6
        and np.nanmax(part) < 1 + 1e-6
        and np.nanmax(np.nanstd(part, axis=1)) < 1e-6
    ), "one share in all columns"


def test_smote_of_mixed_columns_and_of_categories_alone():
    data = people()
    more = smote(data)
    made = more.frame[more.made == "smotenc"]
    assert (
        Counter(more.frame["buys"]) == {"yes": 66, "no": 66}
        and set(made["city"]) <= set("abc")
        and made["member"].dtype == bool
    )
    assert more.frame.dtypes.equals(data.frame.dtypes) and made["age"].between(18, 80).all()
    parents = data.frame.set_index("id").loc[made["id"]]
    assert (made["house"].to_numpy() == parents["house"].to_numpy()).all() and (
        made["day"].to_numpy() == parents["day"].to_numpy()
    ).all()
    assert (parents["buys"] == "yes").all()
    alone = smote(table(data.frame[["city", "member", "buys"]], target="buys"))
    assert set(alone.made) == {"", "smoten"} and len(alone) == 132


def test_smote_is_seeded():
    one, same, other = (smote(people(), seed=seed).frame for seed in (3, 3, 4))
    assert one.equals(same) and not one.equals(other)


@pytest.mark.parametrize(
    "change, told",
    [
        (dict(counts={"yes": 5}), "at least the rows it has"),
        (dict(counts={"maybe": 50}), "class must be one"),
        (dict(kind="smote"), "suit the columns"),
        (dict(kind="smotte"), "kind of SMOTE"),
        (dict(neighbours=14), "more rows than neighbours"),
        (dict(counts={"no": 66}), "At least one class"),
    ],
)
def test_smote_refuses_what_it_cannot_do(change, told):
    with pytest.raises(InputError, match=told):
        smote(people(), **change)


def test_smote_needs_rows_without_gaps():
    data = people()
    for name in ("income", "city"):
        frame = data.frame.copy()
        frame.loc[[3, 7], name] = None
        with pytest.raises(InputError, match="2 of 80 rows"):
            smote(table(frame, target="buys", id="id", time="day", group="house"))
