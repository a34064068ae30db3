"""Files that hold weights and no model: safetensors, and torch's pickles by way of safetensors.

In: a file from anywhere. Out: a source, together with the config or function that says what the weights belong
to. Never: an unpickler that can import or call anything (see `unpickling`).
"""
