"""Names of countries, nationalities and languages as people write them: data for `sensitive_kinds.py`, no judgement.

The larger countries, in English, with what they are called in German, French and Spanish where that differs much.
Codes are left out: `IN`, `IT` and `NO` are words of their own.
"""

from mlpipe_dagster.bias.words import phrases_of

COUNTRIES = phrases_of(
    """afghanistan, albania, algeria, angola, argentina, armenia, australia, austria, azerbaijan, bangladesh, belarus,
    belgium, bolivia, bosnia, bosnia and herzegovina, brazil, bulgaria, cambodia, cameroon, canada, chile, china,
    colombia, columbia, congo, costa rica, croatia, cuba, cyprus, czechia, czech republic, denmark, dominican republic,
    ecuador, egypt, el salvador, england, eritrea, estonia, ethiopia, finland, france, gambia, georgia, germany, ghana,
    greece, guatemala, guinea, guyana, haiti, honduras, hong kong, hungary, iceland, india, indonesia, iran, iraq,
    ireland, israel, italy, ivory coast, jamaica, japan, jordan, kazakhstan, kenya, kosovo, kuwait, kyrgyzstan, laos,
    latvia, lebanon, libya, lithuania, luxembourg, macedonia, north macedonia, malaysia, mali, malta, mexico, moldova,
    mongolia, montenegro, morocco, mozambique, myanmar, nepal, netherlands, holland, new zealand, nicaragua, niger,
    nigeria, north korea, norway, pakistan, palestine, panama, paraguay, peru, philippines, poland, portugal,
    puerto rico, qatar, romania, russia, rwanda, saudi arabia, scotland, senegal, serbia, sierra leone, singapore,
    slovakia, slovenia, somalia, south africa, south korea, korea, spain, sri lanka, sudan, sweden, switzerland, syria,
    taiwan, tanzania, thailand, trinadad and tobago, trinidad and tobago, tunisia, turkey, turkiye, uganda, ukraine,
    united arab emirates, united kingdom, great britain, united states, united states of america, uruguay, uzbekistan,
    venezuela, vietnam, wales, yemen, yugoslavia, zambia, zimbabwe, deutschland, österreich, schweiz, frankreich,
    italien, spanien, polen, türkei, russland, rumänien, griechenland, kroatien, ungarn, allemagne, autriche, suisse,
    espagne, italie, pologne, turquie, maroc, algérie, tunisie, royaume uni, états unis, alemania, francia, italia,
    españa, marruecos, reino unido, estados unidos, brasil, méxico, perú"""
)
NATIONALITIES = phrases_of(
    """afghan, albanian, algerian, american, angolan, argentinian, argentine, armenian, australian, austrian,
    bangladeshi, belgian, bolivian, bosnian, brazilian, british, bulgarian, cambodian, cameroonian, canadian, chilean,
    chinese, colombian, congolese, croatian, cuban, cypriot, czech, danish, dominican, dutch, ecuadorian, egyptian,
    english, eritrean, estonian, ethiopian, filipino, finnish, french, georgian, german, ghanaian, greek, guatemalan,
    haitian, honduran, hungarian, icelandic, indian, indonesian, iranian, iraqi, irish, israeli, italian, jamaican,
    japanese, jordanian, kazakh, kenyan, korean, kosovan, kuwaiti, laotian, latvian, lebanese, libyan, lithuanian,
    macedonian, malaysian, mexican, moldovan, mongolian, montenegrin, moroccan, nepalese, nepali, nicaraguan, nigerian,
    norwegian, pakistani, palestinian, panamanian, peruvian, polish, portuguese, romanian, russian, rwandan, salvadoran,
    saudi, scottish, senegalese, serbian, singaporean, slovak, slovenian, somali, south african, spanish, sri lankan,
    sudanese, swedish, swiss, syrian, taiwanese, tanzanian, thai, tunisian, turkish, ugandan, ukrainian, uruguayan,
    uzbek, venezuelan, vietnamese, welsh, yemeni, zambian, zimbabwean, deutsch, österreichisch, schweizerisch,
    französisch, italienisch, spanisch, polnisch, türkisch, russisch, rumänisch, griechisch, kroatisch, ungarisch,
    ausländisch, syrisch, afghanisch, ukrainisch, serbisch, française, français, allemande, allemand, italienne,
    espagnole, espagnol, polonaise, polonais, turque, marocaine, marocain, algérienne, algérien, tunisienne, tunisien,
    española, español, alemana, alemán, francesa, francés, italiana, italiano, marroquí, rumana, rumano, mexicana,
    mexicano, brasileira, brasileiro, portuguesa, portugués"""
)
LANGUAGES = phrases_of(
    """albanian, arabic, bengali, bulgarian, cantonese, chinese, croatian, czech, danish, dari, dutch, english, farsi,
    finnish, french, german, greek, gujarati, hebrew, hindi, hungarian, italian, japanese, korean, kurdish, mandarin,
    norwegian, pashto, persian, polish, portuguese, punjabi, romanian, russian, serbian, slovak, somali, spanish,
    swahili, swedish, tagalog, tamil, tigrinya, turkish, ukrainian, urdu, vietnamese, deutsch, englisch, französisch,
    italienisch, spanisch, polnisch, türkisch, russisch, arabisch, anglais, français, allemand, arabe, espagnol, inglés,
    español, francés, alemán, árabe"""
)
