"""What has changed from one run to a later one: findings new, fixed and changed, and coverage that was lost."""

from __future__ import annotations

from collections import Counter

import msgspec

from conformance.gate import Exit
from conformance.results import Finding, Results


class Changed(msgspec.Struct, frozen=True):
    """One finding as it was and as it is: judged otherwise, or with other numbers for the same program."""

    old: Finding
    new: Finding

    @property
    def what(self) -> str:
        """Which parts differ, in words."""
        pairs = [
            ("verdict", self.old.verdict, self.new.verdict),
            ("expected", self.old.expected, self.new.expected),
            ("actual", self.old.actual, self.new.actual),
        ]
        return ", ".join(f"{name} {a} → {b}" for name, a, b in pairs if a != b)


class Changes(msgspec.Struct, frozen=True):
    """The changes between two results, and what they mean for a build.

    `lost` holds the (engine, operation, feature) cells that the old run exercised and the new one did not; operations
    that an engine no longer offers are among them, with the feature `""`, and topics of the behaviour corpus of which
    less was run, as (engine, "behaviour corpus", topic). `unlike` and `like` hold the (engine, program) of the corpus
    that differs now and did not, and the other way round.
    """

    new: tuple[Finding, ...]
    fixed: tuple[Finding, ...]
    changed: tuple[Changed, ...]
    lost: tuple[tuple[str, str, str], ...]
    unlike: tuple[tuple[str, str], ...] = ()
    like: tuple[tuple[str, str], ...] = ()

    @property
    def exit_code(self) -> int:
        """1 when something differs that did not, or otherwise; 4 when only coverage was lost; 0 when all is as good."""
        if self.new or self.changed or self.unlike:
            return int(Exit.FINDING)
        return int(Exit.EVIDENCE if self.lost else Exit.PASSED)


def compare(old: Results, new: Results) -> Changes:
    """What has changed from `old` to `new`.

    Findings are the same when their id is: engine, blamed rule and kind. One that is known in the new run is accepted,
    whether it was met before or not. One that is gone counts as fixed only where
    the new run still exercised its operations: what was not tried is lost coverage, and no good news.
    """
    before = {finding.id: finding for finding in old.findings}
    after = {finding.id for finding in new.findings}
    topics, differing = _topics(new), _differing(new)
    tested = {engine.name for engine in new.engines}
    exercised = _exercised(new)
    return Changes(
        new=tuple(f for f in new.findings if f.id not in before and not f.known),
        fixed=tuple(f for f in old.findings if f.id not in after and f.engine in tested and _seen(f, exercised)),
        changed=tuple(
            Changed(before[f.id], f)
            for f in new.findings
            if f.id in before and not f.known and _changed(before[f.id], f)
        ),
        lost=(
            *(cell for cell in _exercised(old) if cell not in exercised),
            *(
                (engine, "behaviour corpus", name)
                for (engine, name), n in _topics(old).items()
                if topics[engine, name] < n
            ),
        ),
        unlike=tuple(sorted(differing - _differing(old))),
        like=tuple(sorted(at for at in _differing(old) - differing if topics[at[0], at[1].partition("/")[0]])),
    )


def _topics(results: Results) -> Counter[tuple[str, str]]:
    """How many programs of each topic of the behaviour corpus were run under each engine."""
    return Counter({(c.engine, topic.name): topic.programs for c in results.corpus for topic in c.topics})


def _differing(results: Results) -> set[tuple[str, str]]:
    return {(c.engine, program.id) for c in results.corpus for program in c.programs if program.status != "stale"}


def _seen(finding: Finding, exercised: Counter[tuple[str, str, str]]) -> bool:
    """Whether the new run tried what the finding is about, so that its absence means something."""
    operations = {operation for engine, operation, _ in exercised if engine == finding.engine}
    return set(finding.operations) <= operations


def _changed(old: Finding, new: Finding) -> bool:
    """Whether the judgement differs, or the numbers of one and the same program; another seed may show another one."""
    if old.verdict != new.verdict:
        return True
    return old.source == new.source and (old.expected, old.actual) != (new.expected, new.actual)


def _exercised(results: Results) -> Counter[tuple[str, str, str]]:
    found: Counter[tuple[str, str, str]] = Counter()
    for cell in results.cells:
        if cell.programs > cell.unsupported or (cell.programs and not cell.unsupported):
            found[cell.engine, cell.operation, cell.feature] += cell.programs
    return found
