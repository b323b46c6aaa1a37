"""The data half in one run: cleaning and batches, as ratios and as growth with rows.

python tests/benchmarks/data.py [--quick]. The last line is JSON: {"ratios": {name: value}, "goals": {name: [">=", bound]}}.
What each ratio means stands in clean.py and batches.py, which run alone, too.
"""

import argparse
import json

import batches
import clean

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    ratios, goals = {}, {}
    for part in (clean, batches):
        found, bounds, said = part.run(quick)
        print("\n".join(said))
        ratios |= {
            f"{part.__name__}: {name}": round(float(value), 3) for name, value in found.items()
        }
        goals |= {f"{part.__name__}: {name}": bound for name, bound in bounds.items()}
    print(json.dumps({"ratios": ratios, "goals": goals}))
