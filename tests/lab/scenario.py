# SPDX-License-Identifier: MIT
"""scenario - the files of tests/lab/tests, as objects with .options and .run(lab).

Used by run (one scenario) and check (all of them). The options are described in README.md.
"""
import importlib.util
import re
import shlex

import lab as labmod

TESTS = labmod.HERE / "tests"


class ShellScenario:
    """NAME.sh: its '# lab:' comment lines hold the options as key=value words."""

    def __init__(self, path):
        self.path = path
        self.options = {}
        for line in path.read_text().splitlines()[:30]:
            m = re.match(r"# lab: (.*)", line)
            for word in shlex.split(m.group(1)) if m else []:
                key, _, value = word.partition("=")
                if key == "sim":
                    self.options.setdefault("sims", [[]])[0].extend(shlex.split(value))
                elif key == "card":
                    self.options["sims"] = [None]
                else:
                    self.options[key] = value

    def run(self, lab):
        lab.run_tap(f"bash /usr/lib/oni-lab/tests/{self.path.name}", timeout=int(self.options.get("timeout", 300)))


class PythonScenario:
    """NAME.py: OPTIONS, run(lab) and, if it reads the data disk afterwards, after(lab)."""

    def __init__(self, path):
        spec = importlib.util.spec_from_file_location("scenario_" + path.stem, path)
        self.module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.module)
        options = getattr(self.module, "OPTIONS", {})
        self.options = options() if callable(options) else options
        self.run = self.module.run
        if hasattr(self.module, "after"):
            self.after = self.module.after


def find(name):
    for suffix, kind in ((".py", PythonScenario), (".sh", ShellScenario)):
        path = TESTS / (name + suffix)
        if path.exists():
            return kind(path)
    labmod.fail(f"no scenario {name}; there are: {' '.join(names())}")
    return None


def names():
    return sorted(p.stem for p in TESTS.iterdir() if p.suffix in (".py", ".sh") and not p.stem.startswith("_"))
