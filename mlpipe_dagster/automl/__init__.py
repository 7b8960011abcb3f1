"""AutoML: train within a budget against an honest baseline, save without pickle, load verified."""
