"""Build bigdata_ai from the facts in settings.ini; the wheel carries the data ledger and the experiments too."""
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
settings = ConfigParser(interpolation=None, delimiters=["="])
settings.read(here / "settings.ini", encoding="utf-8")
facts, extras = settings["package"], settings["extras"]


def lines(text):
    return [line.strip() for line in text.splitlines() if line.strip()]


extras_require = {name: lines(extras[name]) for name in extras}
extras_require["all"] = sorted({need for name, needs in extras_require.items() if name not in ("bench", "fuzz") for need in needs})

setup(
    version=facts["version"],
    description=facts["description"],
    long_description=(here / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author=facts["author"],
    license=facts["license"],
    keywords=facts["keywords"].split(),
    classifiers=lines(facts["classifiers"]),
    python_requires=">=" + facts["min_python"],
    install_requires=lines(facts["requirements"]),
    extras_require=extras_require,
    entry_points={"console_scripts": lines(facts["console_scripts"]), "papermill.engine": lines(facts["papermill_engines"])},
    packages=[*find_packages(include=["bigdata_ai", "bigdata_ai.*"]), "bigdata_ai._data", "bigdata_ai._experiments"],
    package_dir={"bigdata_ai._data": "data", "bigdata_ai._experiments": "nbs/experiments"},
    package_data={"bigdata_ai": ["py.typed"],
                  "bigdata_ai._data": ["*.toml", "*.md", "*.npz", "evidence/*.jsonl", "evidence/*.csv", "reference/*"],
                  "bigdata_ai._experiments": ["*.ipynb", "*.toml", "*.jinja", "new/*"]},
)
