"""Properties: no deadline for a single example; a machine that others use makes one late now and then."""

from hypothesis import settings

settings.register_profile("partwise", deadline=None)
settings.load_profile("partwise")
