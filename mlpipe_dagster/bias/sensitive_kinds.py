"""The words that give sensitive columns away: one row for each kind, with names and values in several languages.

Only the data; `sensitive.py` applies it. Accents, case and separators do not matter: `words.py` takes them away.
"""
# ruff: noqa: RUF001 - letters of other alphabets are meant

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mlpipe_dagster.bias.nations import COUNTRIES, LANGUAGES, NATIONALITIES
from mlpipe_dagster.bias.sensitive_shapes import are_age_bands, are_postcodes, could_be_postcodes
from mlpipe_dagster.bias.words import phrases_of

Shape = Callable[[Sequence[str]], bool]
"""Whether values, as text, look like something."""
POSTCODE = "postcode"


@dataclass(frozen=True)
class SensitiveKind:
    """One kind of sensitive column and how it is recognised."""

    kind: str
    names: frozenset[str]
    """Words of a column name that suffice."""
    stems: frozenset[str] = frozenset()
    """Parts of a word that suffice, in languages that write words as one: `kundengeschlecht`."""
    binary_names: frozenset[str] = frozenset()
    """Words that count where the column has two different values at most: `partner`, `senior`."""
    uncertain_names: frozenset[str] = frozenset()
    """Words that count where the values agree, though these would say too little by themselves."""
    named_values: frozenset[str] = frozenset()
    """Values that agree with an uncertain name."""
    named_shape: Shape | None = None
    """The shape of values that agrees with an uncertain name."""
    values: frozenset[str] = frozenset()
    """Values that suffice when they cover most of the column."""
    ambiguous_values: frozenset[str] = frozenset()
    """Those of `values` that are colours, sizes or counts as well: a column needs a value beside these."""
    whole_values: tuple[frozenset[str], ...] = ()
    """Ambiguous values that suffice where they are all there is, and no other column is of this kind: M and F."""
    shape: Shape | None = None
    """The shape of values that suffices where no list holds them."""
    unless: frozenset[str] = frozenset()
    """Words of the name that show it means something else: the age of a house, the colour of wine."""
    numeric_range: tuple[float, float] | None = None
    """Where a column of numbers must lie to be meant."""


_THINGS = """product, car, vehicle, wine, paint, box, horse, dog, animal, pet, file, page, image, pixel, website,
    app, device, server, machine, company, firm, business, team, club, league, film, movie, book, song, music, album"""

SENSITIVE_KINDS: tuple[SensitiveKind, ...] = (
    SensitiveKind(
        "sex",
        names=phrases_of(
            """sex, gender, gndr, gender identity, male, female, woman, women, geschlecht, anrede, sexe, sexo, género,
            sesso, kön, kjønn, kjonn, køn, sukupuoli, płeć, plec, geslacht, cinsiyet, pohlaví, spol, φύλο, пол, стать,
            giới tính, jenis kelamin, 性别, 性別, 성별, الجنس, النوع الاجتماعي, מין, लिंग, เพศ"""
        ),
        binary_names=phrases_of("genre, genere, fem"),
        stems=phrases_of("gender, geschlecht, sukupuoli, 性别, 性別, 성별"),
        values=phrases_of(
            """male, female, m, f, man, woman, men, women, boy, girl, boys, girls, non-binary, nonbinary, genderqueer,
            transgender, trans man, trans woman, cis man, cis woman, diverse, intersex, mr, mrs, ms, miss, männlich,
            weiblich, maennlich, divers, mann, frau, herr, homme, femme, masculin, féminin, monsieur, madame, mme,
            mademoiselle, hombre, mujer, varón, masculino, femenino, feminino, maschio, femmina, uomo, donna, homem,
            mulher, kvinna, kvinde, kvinne, vrouw, mannelijk, vrouwelijk, mężczyzna, kobieta, muž, žena, mies, nainen,
            erkek, kadın, férfi, мужской, женский, мужчина, женщина, чоловік, жінка, 男, 女, 男性, 女性, 남, 여, 남성,
            여성, 남자, 여자, ذكر, أنثى"""
        ),
        ambiguous_values=phrases_of("m, f, diverse, divers, man, miss"),
        whole_values=tuple(map(phrases_of, ("m, f", "m, w", "m, w, d", "m, f, x", "m, f, o", "m, f, u", "k, m"))),
        unless=phrases_of(f"{_THINGS}, size, grösse, talla, taille, day, weekday, chromosome, degree, grade, charge"),
    ),
    SensitiveKind(
        "race or ethnicity",
        names=phrases_of(
            """race, rac1 p, ethnicity, ethnic, ethnicgrp, ethnic group, ethnic origin, ethnic background,
            ethnie, etnia, etni, raza, raça, cor raça, etnicidad, etnicidade, etniciteit, etnisitet, ethnizität,
            ethnische herkunft, origine ethnique, origen étnico, pochodzenie etniczne, etnik köken, skin color,
            skin colour, skin tone, hautfarbe, couleur de peau, color de piel, cor da pele, afam, african american,
            hispanic, hisp, latino, latina, latinx, caucasian, ancestry, ethnic minority, racial, indigenous,
            aboriginal, tribe, раса, национальность этническая, этничность, 民族, 种族, 人種, 인종, 민족, العرق"""
        ),
        binary_names=phrases_of("rasse, black, white, asian, nonwhite, minority, origin, herkunft"),
        stems=phrases_of("ethnic, etnicid, ethnizit, 民族, 种族, 人種, 인종"),
        values=phrases_of(
            """african american, african, afro american, afro caribbean, black african, black caribbean, black british,
            asian, asian american, asian british, asian pac islander, asian or pacific islander,
            asian pacific islander, caucasian, hispanic, non hispanic, latino, latina, hispanic latino,
            amer indian eskimo, native american, american indian, american indian or alaska native, alaska native,
            native hawaiian, pacific islander, aboriginal, torres strait islander, maori, pasifika, first nations,
            inuit, black or african american, hispanic or latino, not hispanic or latino, white non hispanic,
            non hispanic white, non hispanic black, black non hispanic, white british, white irish, white other,
            mixed race, biracial, multiracial, two or more races, multiple races, south asian, east asian,
            middle eastern, arab, roma, romani, traveller, pardo, parda, preto, preta, branco, branca, indígena,
            indigena, mestizo, mulato, black, white"""
        ),
        ambiguous_values=phrases_of("black, white, branco, branca, preto, preta, roma, traveller"),
        unless=phrases_of(
            f"""{_THINGS}, id, time, times, date, day, distance, track, lap, laps, number, num, no, cell, blood,
            condition, course, winner, result, results, position, space, elephant, friday, eye, hair"""
        ),
    ),
    SensitiveKind(
        "age",
        names=phrases_of(
            """age, ages, agep, alter, âge, edad, idade, leeftijd, wiek, věk, vek, alder, ålder, ikä, yaş, ηλικία,
            vârsta, életkor, umur, usia, tuổi, senior citizen, age group, agegroup, age band, age bracket, age range,
            age cat, altersgruppe, tranche d âge, grupo de edad, faixa etária, fascia d età, date of birth, birth date,
            birthdate, birthday, dob, year of birth, birth year, yob, geburtsdatum, geburtstag, geburtsjahr, geb datum,
            date naissance, date de naissance, année de naissance, fecha de nacimiento, fecha nacimiento,
            año de nacimiento, data di nascita, anno di nascita, data de nascimento, data nascimento, geboortedatum,
            geboortejaar, data urodzenia, rok urodzenia, datum narození, fødselsdato, födelsedatum, födelseår,
            syntymäaika, doğum tarihi, lebensalter, возраст, дата рождения, год рождения, вік, 年龄, 年齢, 出生日期,
            生年月日, 나이, 연령, 생년월일, العمر, تاريخ الميلاد, גיל, उम्र, आयु, อายุ"""
        ),
        binary_names=phrases_of("età, senior, seniors, elderly"),
        stems=phrases_of(
            "altersgruppe, lebensalter, geburtsdatum, geburtsjahr, dateofbirth, birthdate, yearofbirth, "
            "年龄, 年齢, 出生, 生年月日, 나이, 연령, 생년월일"
        ),
        shape=are_age_bands,
        unless=phrases_of(
            f"""{_THINGS}, house, housing, home, building, property, account, policy, loan, credit, customer since,
            tree, equipment, asset, domain, stone, gestational, battery, mortgage, debt, receivable, invoice, ticket,
            order, message, stock, mineral, rock, sample, fund, facility, table, ego, roof, contract, membership,
            inventory"""
        ),
        numeric_range=(0.0, 130.0),
    ),
    SensitiveKind(
        "nationality",
        names=phrases_of(
            """nationality, nationalität, nationalitaet, nationalité, nacionalidad, nacionalidade, nazionalità,
            nationaliteit, nationalitet, kansalaisuus, narodowość, obywatelstwo, národnost, občanství, uyruk,
            υπηκοότητα, állampolgárság, cetățenie, kewarganegaraan, quốc tịch, citizenship, citizen, nativity,
            native country, country of birth, birth country, birthplace, place of birth, pobp, country of origin,
            national origin, foreigner, foreign worker, foreign national, foreign born, immigrant, immigration,
            immigration status, visa status, residence status, aufenthaltsstatus, migrant, refugee, asylum seeker,
            staatsangehörigkeit, staatsbürgerschaft, geburtsland, geburtsort, herkunftsland, migrationshintergrund,
            pays de naissance, lieu de naissance, país de nacimiento, país de origen, paese di nascita,
            luogo di nascita, naturalidade, geboorteland, herkomst, fødeland, födelseland, cittadinanza, ciudadanía,
            cidadania, citoyenneté, гражданство, национальность, громадянство, место рождения, 国籍, 國籍, 出身地,
            국적, الجنسية, אזרחות, राष्ट्रीयता"""
        ),
        binary_names=phrases_of("foreign"),
        stems=phrases_of(
            "nationalit, staatsangehör, staatsbürger, migrationshintergrund, citizenship, 国籍, 國籍, 국적"
        ),
        values=COUNTRIES | NATIONALITIES,
        unless=phrases_of(
            f"""{_THINGS}, exchange, currency, key, trade, data, senior, cuisine, food, dish, recipe, beer, coffee,
            tea, restaurant, supplier, vendor, manufacturer, manufacture, made, maker, brand, warehouse, store, shop,
            shipping, shipment, ship, destination, delivery, export, import, market, airport, flight, bank, issuer,
            merchant, science, language, lang, sprache, langue, idioma, lingua, taal"""
        ),
    ),
    SensitiveKind(
        "religion",
        names=phrases_of(
            """religion, religious, relig, faith, belief, creed, denomination, konfession, religionszugehörigkeit,
            kirche, glaube, confession religieuse, religious denomination, religione, religião, religión, religie,
            godsdienst, uskonto, wyznanie, religia, náboženství, θρησκεία, vallás, agama, tôn giáo, религия,
            вероисповедание, віросповідання, релігія, 宗教, 종교, الدين, الديانة, דת, धर्म"""
        ),
        stems=phrases_of("religion, religios, konfession, 宗教, 종교"),
        values=phrases_of(
            """christian, christianity, muslim, islam, islamic, jewish, judaism, hindu, hinduism, buddhist, buddhism,
            sikh, sikhism, jain, jainism, bahai, taoist, shinto, catholic, roman catholic, protestant, evangelical,
            lutheran, baptist, methodist, anglican, church of england, presbyterian, pentecostal, orthodox, mormon,
            jehovahs witness, atheist, atheism, agnostic, no religion, non religious, secular, christlich, muslimisch,
            jüdisch, katholisch, römisch katholisch, evangelisch, konfessionslos, orthodoxe, chrétien, chrétienne,
            catholique, protestante, musulman, musulmane, juif, juive, bouddhiste, athée, cristiano, cristiana,
            católico, católica, musulmán, musulmana, judío, judía, evangélico, evangélica, cattolico, cattolica, ebreo,
            ateo, budista, muçulmano, православие, православный, ислам, мусульманин, католик, атеист, 基督教, 佛教,
            伊斯兰教, 道教, 불교, 기독교, 천주교"""
        ),
        ambiguous_values=phrases_of("orthodox, secular, protestante"),
        unless=phrases_of("good faith, school, book, holiday, song, music, building"),
    ),
    SensitiveKind(
        "marital status",
        names=phrases_of(
            """marital, marital status, mar stat, marstat, maritl, married, civil status, relationship status,
            familienstand, zivilstand, personenstand, estado civil, état civil, stato civile, situation matrimoniale,
            situation familiale, burgerlijke staat, civilstand, civilstatus, sivilstand, sivilstatus, civilstånd,
            siviilisääty, stan cywilny, rodinný stav, medeni durum, medeni hal, οικογενειακή κατάσταση,
            családi állapot, stare civilă, status perkawinan, hôn nhân, spouse, husband, wife, семейное положение,
            сімейний стан, 婚姻, 婚姻状况, 婚姻状態, 배우자, 혼인상태, 결혼여부, الحالة الاجتماعية, מצב משפחתי,
            वैवाहिक स्थिति"""
        ),
        binary_names=phrases_of("partner, single, divorced, widowed"),
        stems=phrases_of("maritalstat, familienstand, zivilstand, estadocivil, 婚姻, 혼인"),
        values=phrases_of(
            """married, single, divorced, widowed, separated, never married, unmarried, not married, cohabiting,
            cohabitation, cohabitating, common law, civil partnership, civil union, domestic partnership,
            in a relationship, engaged, married civ spouse, married spouse absent, married af spouse, husband, wife,
            spouse, verheiratet, ledig, geschieden, verwitwet, getrennt, eingetragene partnerschaft, casado, casada,
            soltero, soltera, divorciado, divorciada, viudo, viuda, unión libre, solteiro, solteira, viúvo, viúva,
            união estável, marié, mariée, célibataire, divorcé, divorcée, veuf, veuve, pacsé, pacsée, sposato, sposata,
            celibe, nubile, coniugato, coniugata, divorziato, divorziata, vedovo, vedova, getrouwd, gehuwd, ongehuwd,
            gescheiden, weduwe, gift, ogift, skild, żonaty, zamężna, kawaler, panna, rozwiedziony, rozwiedziona,
            wdowiec, wdowa, evli, bekar, dul, холост, женат, замужем, разведен, разведена, вдовец, вдова, 已婚, 未婚,
            离异, 丧偶, 既婚, 離婚, 기혼, 미혼, 이혼, متزوج, أعزب"""
        ),
        ambiguous_values=phrases_of("single, separated, engaged, gift, panna, dul"),
        unless=phrases_of(f"{_THINGS}, room, bed, sales, channel, trading, storage"),
    ),
    SensitiveKind(
        "disability",
        names=phrases_of(
            """disability, disabled, disabilities, disability status, handicap, handicapped, impairment, impaired,
            wheelchair, special needs, special educational needs, sen status, behinderung, behindert,
            schwerbehinderung, schwerbehindert, grad der behinderung, discapacidad, discapacitado, deficiência,
            deficiente, disabilità, disabile, invalidité, invalide, situation de handicap, handikap, beperking,
            gehandicapt, niepełnosprawność, invalidita, vammaisuus, funktionsnedsättning, engelli, αναπηρία,
            fogyatékosság, инвалидность, інвалідність, 障害, 障碍, 残疾, 장애, إعاقة, विकलांगता"""
        ),
        stems=phrases_of("behinder, disabilit, discapacid, 障害, 残疾, 장애"),
        values=phrases_of(
            """disabled, not disabled, non disabled, able bodied, disability, no disability, has disability,
            with disability, without disability, wheelchair user, blind, deaf, hard of hearing, visually impaired,
            hearing impaired, mobility impaired, physical disability, learning disability, mental disability,
            sensory impairment, behindert, schwerbehindert, nicht behindert, handicapé, valide, discapacitado,
            sin discapacidad, con discapacidad"""
        ),
        ambiguous_values=phrases_of("disabled, blind, valide"),
        unless=phrases_of(
            f"{_THINGS}, asset, feature, features, account, golf, user, flag, option, button, plugin, goodwill"
        ),
    ),
    SensitiveKind(
        POSTCODE,
        names=phrases_of(
            """postcode, postal code, post code, zip code, zcta, plz, postleitzahl, code postal,
            código postal, cod postal, codice postale, codice avviamento postale, código de endereçamento postal,
            postnummer, postnr, postinumero, kod pocztowy, poštovní směrovací číslo, posta kodu, irányítószám, pincode,
            pin code, почтовый индекс, поштовий індекс, 邮编, 邮政编码, 郵便番号, 우편번호, الرمز البريدي, पिन कोड"""
        ),
        uncertain_names=phrases_of("zip, cap, cep, postal, cp, eircode, psc, индекс, outcode"),
        stems=phrases_of("postleitzahl, postcode, zipcode, 邮编, 郵便番号, 우편번호"),
        shape=are_postcodes,
        named_shape=could_be_postcodes,
        unless=phrases_of("file, archive, market, format, shipping, warehouse, store"),
    ),
    SensitiveKind(
        "sexual orientation",
        names=phrases_of(
            """sexual orientation, sexuality, orientation sexuelle, orientación sexual, orientação sexual,
            orientamento sessuale, sexuelle orientierung, seksuele geaardheid, sexuell läggning, lgbt, lgbtq, lgbtqia,
            сексуальная ориентация, 性取向, 性的指向"""
        ),
        values=phrases_of(
            """heterosexual, homosexual, bisexual, asexual, pansexual, queer, straight, gay, lesbian, gay or lesbian,
            heterosexuell, homosexuell, bisexuell, hétérosexuel, homosexuel, bisexuel"""
        ),
        ambiguous_values=phrases_of("straight"),
    ),
    SensitiveKind(
        "pregnancy",
        names=phrases_of(
            """pregnant, pregnancy, maternity, schwanger, schwangerschaft, enceinte, grossesse, embarazada, embarazo,
            gravidanza, grávida, gravidez, zwanger, ciąża, беременность, 怀孕, 妊娠, 임신"""
        ),
        values=phrases_of("pregnant, not pregnant, schwanger, nicht schwanger, enceinte, embarazada"),
    ),
    SensitiveKind(
        "language",
        names=phrases_of(
            """mother tongue, native language, first language, home language, primary language,
            language spoken at home, muttersprache, erstsprache, langue maternelle, lengua materna, língua materna,
            lingua madre, moedertaal, родной язык, 母语, 母語, 모국어"""
        ),
        uncertain_names=phrases_of(
            "language, spoken language, preferred language, sprache, langue, idioma, lingua, taal"
        ),
        named_values=LANGUAGES,
        unless=phrases_of(f"{_THINGS}, programming, original, subtitle, interface, ui, browser, course, code, content"),
    ),
    SensitiveKind("caste", names=phrases_of("caste, scheduled caste, jati, जाति")),
    SensitiveKind(
        "health",
        names=phrases_of("hiv, hiv status, mental health, mental illness, health condition, genetic"),
        unless=phrases_of("test kit, algorithm"),
    ),
    SensitiveKind(
        "political opinion",
        names=phrases_of(
            """political affiliation, political party, political opinion, political view, political leaning,
            party affiliation, party registration, parteizugehörigkeit, parti politique, partido político, 政治面貌"""
        ),
    ),
    SensitiveKind(
        "union membership",
        names=phrases_of("union member, trade union, union membership, gewerkschaft, gewerkschaftsmitglied, syndicat"),
    ),
    SensitiveKind("veteran status", names=phrases_of("veteran, veteran status, protected veteran")),
)
