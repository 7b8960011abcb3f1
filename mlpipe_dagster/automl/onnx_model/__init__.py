"""A saved pipeline as ONNX: written from what its parts have learned, kept only where it answers as the pipeline does.

Written here, not by skl2onnx 1.20 and onnxmltools 1.16. Measured: with those, rows with gaps go the wrong way in
scikit-learn's forests (probabilities off by 0.64), and thresholds are kept in single precision.
"""
