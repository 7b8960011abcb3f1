"""The words that head columns which identify people, in several languages: data for `personal.py`, no judgement.

Words are lower case and without accents. Headers in German, Dutch and the Nordic languages write two words as one:
such compounds are made here.
"""

from collections.abc import Iterable


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


EMAIL = _words("email emails mail e_mail emailaddress emailadresse mailadresse correo courriel epost posta correio")
PHONE = _words(
    "phone phones telephone tel telno mobile cell cellphone fax msisdn phonenumber phoneno telephonenumber "
    "mobilenumber telefon telefonnummer handy handynummer mobil mobilnummer rufnummer telefono telefone telefoon "
    "telefoonnummer portable  celular cellulare movil puhelin телефон 电话 手机 電話 携帯 전화"
)
ADDRESS = _words(
    "address addresses addr homeaddress street streetaddress adresse anschrift wohnadresse strasse direccion domicilio "
    "calle indirizzo endereco morada rua rue adres straat ulica adress gata osoite адрес улица 地址 住所 주소"
)
NO_PLACE = _words("ip mac web url wallet email mail memory")
"""Beside these an address is not where somebody lives."""
BANK_ACCOUNT = _words(
    "iban bban account_number bank_account bankaccount kontonummer bankverbindung card_number cardnumber card_no "
    "credit_card creditcard creditcardnumber kartennummer pan numero_de_compte numero_cuenta numero_conto"
)
NATIONAL_ID = _words(
    "ssn social_security social_security_number national_id nationalid national_id_number national_insurance "
    "national_insurance_number nino passport passport_no passport_number passnummer reisepass aadhaar cpf nif nie dni "
    "bsn pesel personnummer fodselsnummer cpr_nummer cprnr henkilotunnus hetu rodne_cislo codice_fiscale nir insee "
    "numero_de_securite_sociale sozialversicherungsnummer svnr ahv ahv_nummer steuer_id steueridentifikationsnummer "
    "steuernummer personalausweis ausweisnummer tax_id taxid tin sin_number curp rut cedula nhs_number medicare_number "
    "driver_license drivers_license driver_licence driving_licence drivers_licence license_number fuhrerscheinnummer "
    "инн снилс паспорт 身份证 身份证号 マイナンバー 주민등록번호"
)
PEOPLE = _words(
    "customer client patient person member subscriber employee staff student pupil user passenger borrower applicant "
    "candidate contact guest tenant donor driver owner beneficiary holder cardholder insured policyholder author "
    "host doctor physician teacher agent victim defendant child parent spouse mother father guardian emergency_contact "
    "kunde kunden patienten mitarbeiter mitglied mitglieds schuler schueler studenten versicherten "
    "versicherter antragsteller inhaber cliente paciente empleado alumno usuario titular salarie eleve abonne "
    "adherent dipendente paziente utente "
    "studente klant medewerker kund klient pacjent asiakas клиент пациент сотрудник 客户 顧客 患者 고객"
)
NAME = _words("name names nom nombre nome naam navn namn nimi imie nazwisko имя фамилия фио 姓名 氏名 名前 이름 성명")
SURE_NAME = _words(
    "first_name last_name middle_name full_name firstname lastname middlename fullname surname surnames forename "
    "given_name givenname family_name familyname maiden_name maidenname birth_name legal_name cust_name custname "
    "username user_name vorname nachname familienname zuname geburtsname rufname prenom prenoms nom_de_famille "
    "nom_complet nombre_completo nombres apellido apellidos primer_apellido segundo_apellido cognome nome_completo "
    "nome_cognome sobrenome primeiro_nome voornaam achternaam fornavn etternavn efternavn fornamn efternamn etunimi "
    "sukunimi imie nazwisko jmeno prijmeni имя фамилия отчество фио 姓名 氏名 名字 名前 이름 성명"
)
LIKELY_NAME = _words(
    "name names first last nom nombre nome naam navn namn nimi person username user_name login nickname"
)
"""Heads of things as often as of people: what they hold has to vary."""
NUMBER = _words("id ids no nr num nbr number uid uuid guid key numero num nummer numer nro code codigo номер 编号 番号")
RECORDS = _words(
    "case policy claim ticket booking account membership member loyalty police polizze vertrag konto compte"
)
"""Files that are kept of one person, beside a number."""
TICKET = _words("ticket tickets pnr mrn medical_record_number vin license_plate licence_plate kennzeichen")
"""Numbers of such files by themselves."""


def _compounds(heads: Iterable[str], ends: Iterable[str]) -> frozenset[str]:
    """`kundennummer`, `customerid`; with the joints that German, Dutch and Swedish put between."""
    tails = tuple(ends)
    return frozenset(f"{head}{joint}{tail}" for head in heads for joint in ("", "n", "en", "s") for tail in tails)


PERSON_NAMES = _compounds(PEOPLE, NAME)
PERSON_NUMBERS = _compounds(PEOPLE | RECORDS, NUMBER)
