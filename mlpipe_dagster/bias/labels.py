"""Groups and frequencies as people say them: `women` for `Female`, `11 of 100` for 0.109.

Only words; the same ones in findings, pages and plots.
"""

from collections.abc import Mapping, Sequence

from mlpipe_dagster.bias.sensitive import names_sex
from mlpipe_dagster.bias.words import phrases_of, plain_words

WOMEN, MEN = "women", "men"
_SEXES: Mapping[str, frozenset[str]] = {
    WOMEN: phrases_of("female, woman, women, weiblich, femme, féminin, mujer, femenino, feminino, kvinna, 女"),
    MEN: phrases_of("male, man, men, männlich, homme, masculin, hombre, masculino, 男"),
}
_PAIRS: Sequence[Mapping[str, str]] = (
    {"f": WOMEN, "m": MEN},
    {"w": WOMEN, "m": MEN},  # German
    {"k": WOMEN, "m": MEN},  # Danish, Norwegian, Polish, Swedish
    {"f": WOMEN, "h": MEN},  # French
    {"m": WOMEN, "h": MEN},  # Portuguese, Spanish
)
"""What letters mean together; M by itself may be a man, a woman or somebody married."""
_NEITHER = frozenset("dxou")
"""Letters beside such a pair: diverse, other, unknown."""
_BARE = frozenset({"yes", "no", "true", "false"})
_BASES = (100, 1000, 10000)


def group_labels(column: str, kind: str, names: Sequence[str]) -> list[str]:
    """What the groups of a column are called: sexes as people, bare values with their column (`foreign = yes`)."""
    sexes = _sexes_in(column, names) if kind == "sex" else {}
    once = {name: people for name, people in sexes.items() if [*sexes.values()].count(people) == 1}
    return [once.get(name) or outcome_label(column, name) for name in names]


def _sexes_in(column: str, names: Sequence[str]) -> dict[str, str]:
    """Women and men among the groups; letters where the column's name says sex, and no other letters are beside."""
    plain = {name: " ".join(plain_words(name)) for name in names}
    letters = {words for words in plain.values() if len(words) == 1 and words.isascii() and words.isalpha()}
    pairs = [pair for pair in _PAIRS if pair.keys() <= letters <= pair.keys() | _NEITHER]
    known = dict(pairs[0]) if pairs and names_sex(column) else {}
    known |= {word: people for people, words in _SEXES.items() for word in words}
    return {name: known[words] for name, words in plain.items() if words in known}


def outcome_label(column: str, name: str) -> str:
    """A value by itself where it says enough (`good`), with its column where it is a number, a letter, yes or no."""
    plain = name.strip().casefold()
    letter = len(plain) == 1 and plain.isalpha()
    bare = letter or plain in _BARE or name.replace(".", "", 1).lstrip("-").isdigit()
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
