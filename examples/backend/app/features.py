"""The enabled features, in the order in which they start; they stop in reverse order.

A feature is a package or module below `app` with an object `feature` (see `app.core.runtime.Feature`). Features are listed
explicitly: a missing package fails at import.
"""

import app.db
import app.oidc
import app.security
from app.core.runtime import Feature
from app.modules import discover

FEATURES: list[Feature] = [
    app.db.feature,
    app.security.feature,
    app.oidc.feature,
]

# Importing these files of all modules registers what they declare.
discover("subscribers")

# Features of your own: import them below this line, and append them: FEATURES.append(app.billing.feature)
