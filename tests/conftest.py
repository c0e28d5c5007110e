"""How hard Hypothesis tries, in one place for all tests: the same examples in every run, unless new ones are asked for.

HYPOTHESIS_PROFILE=thorough asks for new ones, and for many more; it is what .github/workflows/nightly.yaml runs.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

_PATIENT = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]

# Explaining a failure takes minutes, and the examples here explain themselves.
_PHASES = [Phase.explicit, Phase.generate, Phase.shrink]

settings.register_profile(
    "same", max_examples=150, deadline=None, derandomize=True, phases=_PHASES, suppress_health_check=_PATIENT
)
settings.register_profile("thorough", max_examples=5000, deadline=None, print_blob=True, suppress_health_check=_PATIENT)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
