"""Models that somebody else's worker trained, made ready to be explained: ONNX and skops files, read as data only.

How they are asked and what their answers mean; how an answer is explained is the business of the modules around.
"""
