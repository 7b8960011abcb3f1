"""The engines a training can be given to: each adds candidates to a search until its time is over.

What is fixed is the harness's (`train.py`): the split, the baselines, the choice, the honest scores, the deadline.
"""
