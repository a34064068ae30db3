"""ONNX files: optimized once by the engine that will run them, then read as a graph.

In: an ONNX file, its external data beside it. Out: a `Source`. Never: a file outside the model's folder; an
operator without a row; a value of a weight before it is asked for.
"""
