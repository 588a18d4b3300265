"""The published faulty programs: they build, and their registry is sound."""

import collections
import json

import numpy as np
import pytest

pytest.importorskip("sklearn")

from benchmarks.doctor.programs import (  # noqa: E402
    PROGRAMS,
    page,
    rows,
    running,
    scores,
    tables,
)
from benchmarks.doctor.programs.common import (  # noqa: E402
    HALVES,
    LABELS,
    Setup,
    program,
)

FILES = collections.defaultdict(list)
for entry in PROGRAMS.values():
    FILES[rows.pathlib.Path(entry.file).stem].append(entry)


def test_registry():
    halves = collections.Counter(p.half for p in PROGRAMS.values())
    assert len(PROGRAMS) >= 80
    assert set(halves) == set(HALVES)
    assert min(halves.values()) >= 0.4 * len(PROGRAMS)
    assert len({p.source for p in PROGRAMS.values()}) == len(PROGRAMS)


@pytest.mark.parametrize("name", PROGRAMS)
def test_words_and_truth(name):
    kept = PROGRAMS[name]
    assert all((kept.source, kept.licence, kept.fault, kept.repair))
    assert kept.first and set(kept.first) <= set(kept.truth) <= set(LABELS)
    assert len(set(kept.truth)) == len(kept.truth)
    assert len(kept.fault.split()) <= 15
    if kept.source.startswith("Stack Overflow"):
        assert kept.source.split()[-1].isdigit()
        assert kept.licence == "CC BY-SA"


def test_a_name_is_taken_once():
    def put():
        program("1", "fault", "repair", "underfitting")(one_layer)

    def one_layer(repaired):
        raise NotImplementedError

    put()
    try:
        with pytest.raises(ValueError, match="one_layer"):
            put()
    finally:
        del PROGRAMS["one_layer"]


@pytest.mark.parametrize("file", sorted(FILES))
def test_programs_build(file):
    for kept in FILES[file][:3]:
        for repaired in (False, True):
            with running.quietly():
                setup = running.built(kept, repaired, seed=1)
            split = setup.data
            assert isinstance(setup, Setup)
            assert len(split.x) == len(split.y) > 3
            assert len(split.x_test) == len(split.y_test)
            assert setup.model.input_shape[1:] == split.x.shape[1:]
            assert setup.model.output_shape[0] is None
            assert setup.score in scores.SCORES


@pytest.mark.parametrize(
    ("score", "y", "answer", "expected"),
    [
        ("accuracy", [0, 1, 2, 2], np.eye(3)[[0, 1, 1, 2]], 0.75),
        ("accuracy", [0, 1, 1, 0], [[0.2], [0.9], [0.4], [0.1]], 0.75),
        ("accuracy", [0, 1, 2], [[0.4], [1.0], [1.0]], 2 / 3),
        ("accuracy", [[0, 1], [1, 1]], [[0.1, 0.9], [0.2, 0.6]], 0.75),
        ("balanced", [0, 0, 0, 1], [[0.1], [0.2], [0.3], [0.4]], 0.5),
        ("r2", [0.0, 1.0, 2.0], [[0.0], [1.0], [2.0]], 1.0),
        ("r2", [0.0, 1.0, 2.0], [[9.0], [9.0], [9.0]], 0.0),
        ("likelihood", [0, 1], [[0.5], [0.5]], 0.0),
        ("likelihood", [0, 1], [[0.0], [1.0]], 1.0),
    ],
)
def test_scores(score, y, answer, expected):
    value = scores.SCORES[score].of(np.array(y), np.array(answer))
    assert value == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("bad", "good", "expected"),
    [(0.5, 0.9, True), (0.83, 0.9, True), (0.85, 0.9, False), (0, 0.6, False)],
)
def test_which_pairs_count(bad, good, expected):
    bad, good = ({"score": s, "chance": 0.5} for s in (bad, good))
    assert scores.counts(bad, good) is expected


def version(score, *found, ever=()):
    found, ever = ([[p, "error", []] for p in part] for part in (found, ever))
    kept = {"score": score, "chance": 0.5, "end": found, "peers": {}}
    return kept | {"epochs": [[0, ever], [1, found]]}


def row(name, faulty, repaired):
    return {"name": name, "seed": 1, "faulty": faulty, "repaired": repaired}


def test_totals_and_what_was_said():
    first, second, third, fourth = list(PROGRAMS)[:4]
    right = PROGRAMS[first].first[0]
    other = next(x for x in LABELS if x not in PROGRAMS[second].truth)
    kept = [
        row(first, version(0.5, right), version(0.9)),
        row(second, version(0.5, other), version(0.9, ever=[other])),
        row(third, version(0.5), version(0.9, other)),
        row(fourth, version(0.9), version(0.9)),
    ]
    line = list(tables.totals(kept))[2]
    assert line == (
        "| the doctor | 3 | 33% (1) | 33% (1) | 67% (2) | 33% (1) |"
    )
    assert list(tables.totals(kept))[-1].endswith("stopped: 2.")
    assert [tables.said(r) for r in kept] == [
        f"`{right}`",
        f"`{other}` (wrong)",
        "nothing",
        "does not count",
    ]


def test_a_pair_is_kept_and_found_again(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "RESULTS", tmp_path)
    kept = PROGRAMS["xor_of_six_rows"]
    with running.quietly():
        faulty, doctor = running.trained(kept, False, seed=1)
    assert faulty["end"] == [running.entry(f) for f in doctor.findings]
    assert set(faulty["peers"]) == set(running.PEERS)
    key = rows.key(kept, 1) | {"digest": rows.digest(kept)}
    made = key | {"faulty": faulty, "repaired": faulty}
    rows.save(kept.half, [made])
    assert rows.find(rows.load(kept.half), key) == made
    assert rows.find(rows.load(kept.half), key | {"seed": 2}) is None
    text = (tmp_path / f"{kept.half}.json").read_text()
    assert json.loads(text) == [made]


def test_the_page_hides_the_report_half(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "RESULTS", tmp_path)
    monkeypatch.setattr(page, "PAGE", tmp_path / "page.md")
    outcomes = {}
    for half in HALVES:
        name = next(n for n, p in PROGRAMS.items() if p.half == half)
        outcomes[half] = PROGRAMS[name].source
        kept = row(name, version(0.5, "overfitting"), version(0.9))
        rows.save(half, [kept])
    for shown in (False, True):
        text = page.write(shown).read_text()
        lines = {
            half: next(x for x in text.splitlines() if source in x)
            for half, source in outcomes.items()
        }
        assert "overfitting" in lines["dev"].rsplit("|", 2)[1]
        assert ("overfitting" in lines["report"].rsplit("|", 2)[1]) is shown
