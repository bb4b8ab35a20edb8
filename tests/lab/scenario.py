# SPDX-License-Identifier: MIT
"""scenario - the files of tests/lab/tests, as objects with .options and .run(lab).

Used by run (one scenario) and check (all of them). The options are described in README.md.
"""
import importlib.util
import re
import shlex
import sys

import lab as labmod

TESTS = labmod.HERE / "tests"
sys.path.insert(0, str(TESTS))	# for what scenarios share: modules whose names begin with _


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
        try:
            spec.loader.exec_module(self.module)
        except ValueError as e:
            labmod.fail(f"{path.name}: {e}; numbers come from variables of the environment that its first lines name")
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


def expected(name):
    """About how long a scenario takes, where it takes longest, in seconds: long ones go first. Most need a third of their time-out."""
    options = find(name).options
    return int(options.get("takes", int(options.get("timeout", 300)) // 3))


def runs_on(name, kernel):
    """Whether a scenario runs on a kernel; None: the guest's own. Without an option a scenario runs there, and kernel_* on all others."""
    options = find(name).options
    if kernel is None:
        return options.get("own_kernel", True)
    listed = options.get("kernels")
    if listed is None:
        return name.startswith("kernel_") and kernel not in labmod.MACHINES
    return kernel in (listed.split(",") if isinstance(listed, str) else listed)


def names_for(kernel, long=True):
    """The scenarios for a kernel; long=False: without those that say that they take long on another kernel than the guest's own."""
    return [n for n in names() if runs_on(n, kernel) and (long or not find(n).options.get("long"))]
