"""Words of columns that are written down when the outcome is known or after it: data for `leakage.py`, no judgement."""

from mlpipe_dagster.bias.words import phrases_of

AFTER_THE_OUTCOME = phrases_of(
    """outcome, result, results, decision, verdict, final, finally, resolution, resolved, closed, closed at, close date,
    closing date, closed date, end date, ended at, exit date, exit reason, exit interview, reason for leaving,
    leaving reason, termination date, termination reason, terminated, cancelled, canceled, cancelled at,
    cancellation date, cancellation reason, churn date, churn reason, churned at, discharge date, date of death,
    death date, died, died at, cause of death, deceased, survival time, recurrence date, relapse date, autopsy,
    paid off, paid off date, payoff date, charge off, charged off, charge off date, default date, recoveries,
    recovery amount, collection recovery fee, collections, settlement, settlement amount, settled at, refund,
    refund amount, refunded, refund date, chargeback, fraud report, investigation, investigated, approved at,
    approval date, approved amount, rejected at,
    rejection reason, denial reason, decline reason, decision date, offer accepted,
    hired at, hire date, graduation date, final grade, final score, delivered at,
    actual, completed at, completion date, conversion date, converted at, purchase date, won at, lost reason,
    sentence length, conviction date, release date, ergebnis, entscheidung, ausgang, kündigungsdatum, kündigungsgrund,
    austrittsdatum, todesdatum, entlassungsdatum, ablehnungsgrund, genehmigt am, abschlussdatum, endnote, résultat,
    décision, date de sortie, date de décès, date de résiliation, motif de résiliation, motif de refus, resultado,
    decisión, fecha de baja, motivo de baja, fecha de fallecimiento, fecha de cierre, fecha de cancelación,
    risultato, decisione, data di chiusura, data di decesso, data de óbito, data de cancelamento, 结果, 結果, 결과"""
)
"""Phrases of a column name."""
SAYS_NOTHING = phrases_of("y, target, label, class, outcome, result, response, output, score, value, type, status, id")
"""Names of targets that say too little for a column that holds the word to be suspected."""
