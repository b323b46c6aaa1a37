"""Learning curves extended to 2, 4, 8 and 16 times the rows held: forms and controls against the ensemble, on data sets it has not seen.

The ensemble is trained anew, fold by fold, by data set. Time grows with curves × anchors × grid points of the forms, which are fixed.
"""

import argparse
import json
import time

import numpy as np
import pandas as pd
from tqdm import tqdm

from bigdata_ai.value.curves import FORMS, extrapolate, fit_forms
from bigdata_ai.value.prior import FACTORS, lcdb, questions, train

BASELINES = {"no change": "last", "pow3": "pow3", "mmf4": "mmf4", "pow3, last half": "pow3_late"}
LEAST, COVER = 1 / 0.85, (0.86, 0.94)


def answers(table):
    "Out-of-fold answers beside those of every form and control."
    anchors, errors, _, _ = lcdb()
    parts = []
    for factor in tqdm(FACTORS, "forms"):
        asked, held, target, truth = questions(anchors, errors, factor)
        said = fit_forms(anchors, held, target)[0]
        said["median of four"] = said[list(BASELINES.values())].median(axis=1)
        part = table[table["factor"] == factor].set_index("curve").loc[asked]
        assert np.array_equal(part["truth"], truth)
        parts.append(
            part.reset_index().join(
                said.clip(0, 1).rename(columns={v: k for k, v in BASELINES.items()})
            )
        )
    return pd.concat(parts, ignore_index=True)


def resampled(table, statistic, times=500):
    "95 % interval of a statistic under resampling of data sets."
    groups = [part for _, part in table.groupby("dataset")]
    random = np.random.default_rng(0)
    sums = np.array([statistic(part) for part in groups])  # (data sets, 2): numerator, denominator
    picks = sums[random.integers(0, len(groups), (times, len(groups)))].sum(axis=1)
    return np.quantile(picks[:, 0] / picks[:, 1], [0.025, 0.975])


def run(quick=False):
    "Ratios, goals, and the table."
    started = time.perf_counter()
    table = train(
        **(dict(networks=1, epochs=8, more=2, folds=3) if quick else {}),
        final=False,
        show_progress=True,
    )[1]
    print(f"trained in {time.perf_counter() - started:.0f} s")
    table = answers(table).rename(columns={"point": "ensemble"})
    methods = [*BASELINES, "median of four", *(f for f in FORMS if f not in BASELINES), "ensemble"]
    rows, ratios, goals = [], {}, {}
    for factor, part in table.groupby("factor"):
        errors = {name: (part[name] - part["truth"]).abs() for name in methods}
        mean = {name: value.mean() for name, value in errors.items()}
        best = min([*BASELINES, "median of four"], key=mean.get)
        frame = pd.DataFrame(
            {
                "dataset": part["dataset"],
                "best": errors[best],
                "ours": errors["ensemble"],
                "inside": part["truth"].between(part["low"], part["high"]),
            }
        )
        low, high = resampled(frame, lambda p: (p["best"].sum(), p["ours"].sum()))
        covered = resampled(frame, lambda p: (p["inside"].sum(), len(p)))
        share = frame["inside"].mean()
        rows.append(
            {
                "times": factor,
                "curves": len(part),
                **{name: round(value, 4) for name, value in mean.items()},
                "best baseline": best,
                "below it by": (
                    f"{1 - mean['ensemble'] / mean[best]:.1%} [{1 - 1 / low:.1%}, {1 - 1 / high:.1%}]"
                ),
                "coverage of 90 %": f"{share:.3f} [{covered[0]:.3f}, {covered[1]:.3f}]",
                "width": round((part["high"] - part["low"]).mean(), 3),
            }
        )
        name = f"mean absolute error at {factor}×, best baseline over ours"
        ratios[name], goals[name] = round(mean[best] / mean["ensemble"], 3), [">=", round(LEAST, 3)]
        for end, bound in zip((">=", "<="), COVER, strict=True):
            name = f"coverage of the 90 % interval at {factor}× ({end} {bound})"
            ratios[name], goals[name] = round(share, 3), [end, bound]
    anchors, errors, _, _ = lcdb()
    _, held, target, _ = questions(anchors, errors, 4)
    times = {}
    for count in (1_000, 10_000):
        some = np.arange(count) % len(held)
        started = time.perf_counter()
        extrapolate(anchors, held[some], target[some])
        times[count] = time.perf_counter() - started
    print("seconds:", {f"{count:,} curves": round(value, 2) for count, value in times.items()})
    ratios["60 s over the time of 10,000 curves"], goals["60 s over the time of 10,000 curves"] = (
        round(60 / times[10_000], 2),
        [">=", 1],
    )
    return ratios, goals, pd.DataFrame(rows).set_index("times").T


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true")
    ratios, goals, table = run(parser.parse_args().quick)
    print(table.to_string())
    print(json.dumps({"ratios": ratios, "goals": goals}))
