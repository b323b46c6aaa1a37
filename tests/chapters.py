"""Run chapters again and hold what they print against what is stored in them.

python tests/chapters.py [--store] [00 11 …]: every chapter, or those named, at its stored size. It
prints what differs, chapter by chapter, and ends with 1 where anything does; with --store it puts
the new outputs into the notebooks instead."""

import argparse
import difflib
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

COURSE = Path(__file__).parent.parent / "nbs" / "course"
# Tags of a cell. Its output depends on the chapter's size: it is compared at the stored size only.
SIZED = "sized"
# Its output holds times, memory or chance as bare numbers: its numbers are not compared.
MEASURED = "measured"
NUMBER = r"[-+]?\d[\d,_]*(?:\.\d+)?(?:e[-+]?\d+)?"
# What differs from run to run, machine to machine or release to release, and what stands for it.
ASIDE = (
    (r"\x1b\[[0-9;]*[A-Za-z]", ""),  # colours of a terminal
    (r"(?: at )?\b0x[0-9a-fA-F]+\b", ""),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]*", "UUID"),
    (r"\b((?:https?://)?(?:127\.0\.0\.1|localhost)):\d+", r"\1:PORT"),
    (r"(?<![\w.])(?:file://)?/(?:tmp|home|root|var|work|usr|opt|mnt|Users)/[^\s'\",)\]]*", "PATH"),
    # the moment of a run, not a moment in the data, which ends before
    (
        r"\b20(?:2[4-9]|[3-9]\d)-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?(?:Z|[-+]\d\d:?\d\d)?)?",
        "TIME",
    ),
    (r"(?<![\w.])\d[\d,.]*(?: \w+)? (?:a|per) second\b", "PACE"),
    (r"(?<![\w.])\d[\d,.]*(?: \w+)?/s\b", "PACE"),
    (r"(?<![\w.])\d[\d,.]*\s?(?:ns|µs|us|ms|s|seconds?)\b", "DURATION"),
    (r"(?<![\w.])\d[\d,.]*\s?(?:kB|KB|MB|GB|KiB|MiB|GiB)\b", "MEMORY"),
    (r"(?<![\w.])v?\d+\.\d+\.\d+(?:[.+-]?\w+)*", "VERSION"),
    # rounding of 64-bit numbers, which another processor does in another order
    (r"[-+]?\b\d(?:\.\d+)?e-(?:09|[1-9]\d)\b", "ROUNDING"),
)


def normal(
    text: str,  # what a cell printed
    measured: bool = False,  # its numbers are aside, too
) -> str:  # the same on every run
    "Put aside what may differ: times, memory, ports, paths, addresses, versions, and white space."
    for pattern, word in ASIDE:
        text = re.sub(pattern, word, text)
    if measured:
        text = re.sub(
            r"\b(?=[a-f]*\d)[0-9a-f]{8,}\b(?:\.\.\.)?", "#", text
        )  # a hash of what differs
        # the words above too: a number may pass from 900 ms to 1 s
        text = re.sub(rf"(?<!\w){NUMBER}|DURATION|MEMORY|PACE", "#", text)
        text = re.sub(r"#[#\s]*", "# ", text)
    lines = (re.sub(r"\s+", " ", line).strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def printed(cell: dict) -> str:
    "All that a cell shows as text; standard error is not for a reader."
    parts = []
    for output in cell.get("outputs", []):
        if output["output_type"] == "stream" and output["name"] == "stdout":
            parts.append("".join(output["text"]))
        if "text/plain" in output.get("data", {}):
            parts.append("".join(output["data"]["text/plain"]) + "\n")
        if output["output_type"] == "error":
            parts.append(f"{output['ename']}: {output['evalue']}\n")
    return "".join(parts)


def noise(notebook: dict) -> list[str]:
    "What an executed notebook has on standard error: nothing, where its page is in order."
    return [
        "".join(output["text"])
        for cell in notebook["cells"]
        for output in cell.get("outputs", [])
        if output.get("name") == "stderr"
    ]


def differences(
    stored: dict,  # a notebook with the outputs that are kept
    new: dict,  # the same notebook executed again; cells are matched by their ids
    smoke: bool = False,  # it ran at another size: cells tagged "sized" are left out
) -> Iterator[str]:  # one text a cell that differs: its first line, then the lines that differ
    "Compare what the code cells of two notebooks print."
    again = {cell.get("id"): cell for cell in new["cells"]}
    for cell in stored["cells"]:
        tags = cell["metadata"].get("tags", [])
        if cell["cell_type"] != "code" or smoke and SIZED in tags:
            continue
        source = "".join(cell["source"])
        if cell["id"] not in again:
            yield f"{source.splitlines()[0]}\n  was not executed"
            continue
        one, other = (
            normal(printed(each), MEASURED in tags).splitlines()
            for each in (cell, again[cell["id"]])
        )
        lines = list(difflib.unified_diff(one, other, "stored", "new", lineterm="", n=0))[2:]
        if lines:
            first = next(iter(source.splitlines()), "")
            body = [f"  {line}" for line in lines if not line.startswith("@@")]
            yield "\n".join([first, *body])


def _kept(output):
    "An output without its number, and without the address in a default `repr`."
    output = {key: None if key == "execution_count" else value for key, value in output.items()}
    if "text/plain" in output.get("data", {}):
        plain = re.sub(r" at 0x[0-9a-fA-F]+", "", "".join(output["data"]["text/plain"]))
        output["data"] = output["data"] | {"text/plain": plain.splitlines(keepends=True)}
    return output


def with_outputs(
    stored: dict,  # a notebook
    new: dict,  # the same executed
) -> dict:  # `stored` with the outputs of `new`, without standard error
    "Put new outputs into a notebook; source, ids and tags stay."
    again = {cell.get("id"): cell for cell in new["cells"]}
    cells = []
    for cell in stored["cells"]:
        if cell["cell_type"] == "code":
            outputs = [
                _kept(each) for each in again[cell["id"]]["outputs"] if each.get("name") != "stderr"
            ]
            cell = {**cell, "outputs": outputs}
        cells.append(cell)
    return {**stored, "cells": cells}


def read(path: Path | str) -> dict:
    "Read a notebook as it lies there."
    return json.loads(Path(path).read_text(encoding="utf-8"))


def execute(
    path: Path,  # a chapter
    folder: Path,  # where the executed copy and the runs go
) -> dict:  # the executed notebook
    "Run a chapter at its stored size in a kernel of its own."
    import papermill

    os.environ["BIGDATA_AI_RUNS"] = str(folder / "runs")
    target = folder / path.name
    papermill.execute_notebook(
        str(path), str(target), kernel_name="python3", progress_bar=False, log_output=False
    )
    return read(target)


def main(arguments: Iterable[str]) -> int:
    "Compare or store; the result is the exit status."
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("chapters", nargs="*", help="numbers such as 00; all where none is given")
    parser.add_argument(
        "--store", action="store_true", help="put the new outputs into the notebooks"
    )
    given, status = parser.parse_args(list(arguments)), 0
    for path in sorted(COURSE.glob("[0-9]*.ipynb")):
        if given.chapters and path.name[:2] not in given.chapters:
            continue
        begun = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            try:
                new = execute(path, Path(folder))
            except Exception as error:
                print(f"== {path.stem}: {type(error).__name__}: {error}", flush=True)
                status = 1
                continue
        stored = read(path)
        apart = [*differences(stored, new), *(f"standard error\n  {text}" for text in noise(new))]
        seconds = time.perf_counter() - begun
        print(f"== {path.stem}: {len(apart)} differences, {seconds:.0f} s", flush=True)
        for text in apart:
            print(text, flush=True)
        if given.store:
            text = json.dumps(with_outputs(stored, new), ensure_ascii=False, indent=1)
            path.write_text(text + "\n", encoding="utf-8")
        elif apart:
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
