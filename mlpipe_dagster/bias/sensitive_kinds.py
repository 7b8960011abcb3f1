"""The words that give sensitive columns away: one row for each kind, with names and values in several languages.

Only the data; `sensitive.py` applies it. Accents, case and separators do not matter: `words.py` takes them away.
"""

from dataclasses import dataclass

from mlpipe_dagster.bias.words import phrases_of


@dataclass(frozen=True)
class SensitiveKind:
    """One kind of sensitive column and how it is recognised."""

    kind: str
    names: frozenset[str]
    """Words of a column name that suffice."""
    uncertain_names: frozenset[str] = frozenset()
    """Words that count only where the values agree: known ones, or two different values at most."""
    values: frozenset[str] = frozenset()
    """Values that suffice when they cover most of the column."""
    unless: frozenset[str] = frozenset()
    """Words beside a name that show it means something else: the age of a house."""
    numeric_range: tuple[float, float] | None = None
    """Where a column of numbers must lie to be meant."""


SENSITIVE_KINDS: tuple[SensitiveKind, ...] = (
    SensitiveKind(
        "sex",
        names=phrases_of(
            """sex, gender, male, female, woman, women, geschlecht, sexe, sexo, género, sesso, kön, kjønn, kjonn, køn,
            sukupuoli, płeć, plec, geslacht, cinsiyet, pohlaví, пол, 性别, 性別, 성별, الجنس"""
        ),
        uncertain_names=phrases_of("genre, genere"),
        values=phrases_of(
            """male, female, m, f, man, woman, men, women, non-binary, nonbinary, diverse, intersex, männlich, weiblich,
            maennlich, divers, homme, femme, masculin, féminin, hombre, mujer, masculino, femenino, feminino, maschio,
            femmina, homem, mulher, kvinna, mężczyzna, kobieta, мужской, женский, 男, 女, 남, 여"""
        ),
    ),
    SensitiveKind(
        "race or ethnicity",
        names=phrases_of(
            """race, ethnicity, ethnic, ethnie, etnia, raza, raça, etnicidad, ethnizität, skin color, skin colour,
            skin tone, hautfarbe, color de piel, afam, african american, hispanic, latino, latina, caucasian, ancestry,
            ethnic minority, 民族, 种族, 人種"""
        ),
        uncertain_names=phrases_of("rasse, black, white, asian, nonwhite, minority, origin, herkunft"),
        values=phrases_of(
            """african american, african, asian, asian pac islander, caucasian, hispanic, latino, amer indian eskimo,
            native american, american indian, alaska native, pacific islander, black or african american,
            hispanic or latino, mixed race, multiracial, south asian, east asian, arab, roma, black, white"""
        ),
        unless=phrases_of(
            "id, time, date, distance, track, horse, lap, number, wine, car, product, paint, box, cell, blood"
        ),
    ),
    SensitiveKind(
        "age",
        names=phrases_of(
            """age, ages, alter, âge, edad, idade, leeftijd, wiek, alder, ålder, ikä, yaş, senior citizen, age group,
            agegroup, date of birth, birth date, birthdate, birthday, dob, year of birth, birth year, yob, geburtsdatum,
            geburtsjahr, date de naissance, année de naissance, fecha de nacimiento, data di nascita,
            data de nascimento, lebensalter, возраст, 年龄, 年齢, 나이"""
        ),
        uncertain_names=phrases_of("età, senior, seniors, elderly"),
        unless=phrases_of(
            """house, housing, home, building, property, account, vehicle, car, machine, policy, loan, credit, company,
            customer since, device, tree, wine, equipment, asset, domain, page, stone, gestational, file, battery"""
        ),
        numeric_range=(0.0, 130.0),
    ),
    SensitiveKind(
        "nationality",
        names=phrases_of(
            """nationality, nationalität, nationalitaet, nationalité, nacionalidad, nacionalidade, nazionalità,
            nationaliteit, citizenship, citizen, native country, country of birth, birth country, birthplace,
            place of birth, country of origin, foreigner, foreign worker, foreign national, foreign born, immigrant,
            immigration, migrant, refugee, staatsangehörigkeit, staatsbürgerschaft, geburtsland,
            migrationshintergrund, cittadinanza, ciudadanía, гражданство, 国籍, 국적"""
        ),
        uncertain_names=phrases_of("foreign"),
        unless=phrases_of("exchange, currency, key, trade, data, senior"),
    ),
    SensitiveKind(
        "religion",
        names=phrases_of("religion, religious, faith, konfession, religious denomination, religione, religião, 宗教"),
        values=phrases_of(
            "christian, muslim, jewish, hindu, buddhist, sikh, catholic, protestant, orthodox, atheist, agnostic"
        ),
    ),
    SensitiveKind(
        "marital status",
        names=phrases_of(
            """marital, marital status, married, civil status, familienstand, estado civil, état civil, stato civile,
            situation matrimoniale, situation familiale, burgerlijke staat, civilstand, spouse, husband, wife,
            семейное положение, 婚姻"""
        ),
        uncertain_names=phrases_of("partner, single, divorced"),
        values=phrases_of(
            """married, single, divorced, widowed, separated, never married, unmarried, married civ spouse,
            married spouse absent, married af spouse, husband, wife, verheiratet, ledig, geschieden, verwitwet, casado,
            casada, soltero, soltera, divorciado, marié, célibataire, divorcé, veuf, sposato, celibe, nubile"""
        ),
    ),
    SensitiveKind(
        "disability",
        names=phrases_of(
            """disability, disabled, disabilities, handicap, handicapped, impairment, wheelchair, behinderung,
            schwerbehinderung, discapacidad, deficiência, disabilità, invalidité, инвалидность, 障害, 残疾"""
        ),
        unless=phrases_of("asset, feature, account, golf"),
    ),
    SensitiveKind(
        "sexual orientation",
        names=phrases_of(
            """sexual orientation, sexuality, orientation sexuelle, orientación sexual, sexuelle orientierung, lgbt,
            lgbtq"""
        ),
        values=phrases_of("heterosexual, homosexual, bisexual, straight, gay, lesbian"),
    ),
    SensitiveKind(
        "pregnancy",
        names=phrases_of(
            """pregnant, pregnancy, maternity, schwanger, schwangerschaft, enceinte, grossesse, embarazada, embarazo,
            gravidanza"""
        ),
    ),
    SensitiveKind(
        "language",
        names=phrases_of(
            "mother tongue, native language, first language, muttersprache, langue maternelle, lengua materna"
        ),
    ),
    SensitiveKind("caste", names=phrases_of("caste, scheduled caste")),
    SensitiveKind(
        "political opinion",
        names=phrases_of("political affiliation, political party, political opinion, party affiliation"),
    ),
    SensitiveKind("union membership", names=phrases_of("union member, trade union, union membership, gewerkschaft")),
    SensitiveKind("veteran status", names=phrases_of("veteran, veteran status")),
)
