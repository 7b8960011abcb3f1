"""Groups and frequencies as people say them: `women` for `Female`, `11 of 100` for 0.109.

Only words; the same ones in findings, pages and plots.
"""

from collections.abc import Mapping, Sequence

from mlpipe_dagster.bias.words import phrases_of, plain_words

_SEXES: Mapping[str, frozenset[str]] = {
    "women": phrases_of("female, f, w, woman, women, weiblich, femme, féminin, mujer, femenino, feminino, kvinna, 女"),
    "men": phrases_of("male, m, man, men, männlich, homme, masculin, hombre, masculino, 男"),
}
_BARE = frozenset({"0", "1", "yes", "no", "true", "false", "y", "n", "t", "f"})
_BASES = (100, 1000, 10000)


def group_label(column: str, kind: str, name: str) -> str:
    """What a group is called: sexes as people, bare values with their column (`foreign = yes`), else its name."""
    words = " ".join(plain_words(name))
    if kind == "sex":
        for people, known in _SEXES.items():
            if words in known:
                return people
    return outcome_label(column, name)


def outcome_label(column: str, name: str) -> str:
    """A value by itself where it says enough (`good`), with its column where it is a bare number, yes or no."""
    bare = name.strip().casefold() in _BARE or name.replace(".", "", 1).lstrip("-").isdigit()
    return f"{column} = {name}" if bare else name


def quoted(label: str) -> str:
    """A label within a sentence: quoted, unless it is a word for people."""
    return label if label in _SEXES else f"“{label}”"


def frequencies(rates: Sequence[float], *, apart: bool = False) -> list[str]:
    """Rates out of one round number: `11 of 100`; of 1,000 or 10,000 where 100 would turn a few into none.

    `apart` also goes on to a larger number where different rates would read the same.
    """
    counts, base = [0], _BASES[-1]
    for base in _BASES:
        counts = [round(rate * base) for rate in rates]
        hidden = any(count in (0, base) and rate not in (0.0, 1.0) for count, rate in zip(counts, rates, strict=True))
        merged = apart and len(set(counts)) < len(set(rates))
        if not hidden and not merged:
            break
    return [f"{count:,} of {base:,}" for count in counts]
