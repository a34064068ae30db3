"""`.pt2`, the archive of torch.export: its JSON program as a `Graph`, its raw tensors as weights.

In: an archive from anywhere, saved after `run_decompositions({})`. Out: a source. Never: `torch.export.load`,
which unpickles; the pickled members (sample inputs, tensors marked `use_pickle`) are not read.
"""
