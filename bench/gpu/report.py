"""What the GPU check found, as one report: Markdown for people, JSON for programs."""

import json
import os

# What becomes of a figure.
HOLDS, MISSED, TOLD, NOT_JUDGED, NOT_RUN = "holds", "MISSED", "", "not judged", "not run"


class Report:
    """Facts about the machine, results of tests, and figures with their limits. `judged`: whether the
    device is real; on a fake one the figures only show that the check itself works.
    """

    def __init__(self, judged):
        self.judged = judged
        self.facts = {}
        self.tests = []
        self.figures = []
        self.remarks = []

    def fact(self, name, value):
        self.facts[name] = value

    def test(self, name, result):
        self.tests.append({"name": name, "result": result})
        print(f"test {name}: {result}", flush=True)

    def figure(self, what, value, unit="", at_least=None, at_most=None, digits=3):
        """A measured value; None where it was not measured."""
        limit = ""
        if at_least is not None:
            limit = f"at least {at_least}"
        if at_most is not None:
            limit = f"at most {at_most}"
        if value is None:
            verdict = NOT_RUN
        elif not limit:
            verdict = TOLD
        elif not self.judged:
            verdict = NOT_JUDGED
        else:
            keeps = value >= at_least if at_least is not None else value <= at_most
            verdict = HOLDS if keeps else MISSED
        shown = None if value is None else round(value, digits)
        self.figures.append(
            {"what": what, "value": shown, "unit": unit, "limit": limit, "verdict": verdict}
        )
        print(f"{what}: {'—' if shown is None else shown} {unit}  {limit}  {verdict}", flush=True)

    def remark(self, text):
        self.remarks.append(text)
        print(text, flush=True)

    def is_good(self):
        missed = any(figure["verdict"] == MISSED for figure in self.figures)
        failed = any(test["result"].startswith("failed") for test in self.tests)
        return not missed and not failed

    def write(self, folder):
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "report.json"), "w", encoding="utf-8") as file:
            json.dump(
                {
                    "facts": self.facts,
                    "tests": self.tests,
                    "figures": self.figures,
                    "remarks": self.remarks,
                    "good": self.is_good(),
                },
                file,
                indent=1,
                ensure_ascii=False,
            )
        with open(os.path.join(folder, "report.md"), "w", encoding="utf-8") as file:
            file.write(self.markdown())

    def markdown(self):
        lines = ["# Tandem on a GPU", ""]
        lines += [f"- {name}: {value}" for name, value in self.facts.items()]
        if self.remarks:
            lines += ["", *(f"> {text}\n" for text in self.remarks)]
        lines += ["", "## Tests", "", "| test | result |", "|---|---|"]
        lines += [f"| {test['name']} | {test['result']} |" for test in self.tests]
        lines += ["", "## Figures", "", "| what | measured | limit | |", "|---|---|---|---|"]
        for figure in self.figures:
            value = "—" if figure["value"] is None else f"{figure['value']} {figure['unit']}".strip()
            lines.append(
                f"| {figure['what']} | {value} | {figure['limit']} | {figure['verdict']} |"
            )
        return "\n".join(lines) + "\n"
