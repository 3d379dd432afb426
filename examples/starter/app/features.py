"""The enabled features, in the order in which they start; they stop in reverse order.

A feature is a package or module below `app` with an object `feature` (see `app.core.runtime.Feature`). Features are listed
explicitly: a missing package fails at import.
"""

import app.db
import app.jobs
import app.jwt
import app.mail.jobs
import app.outbox
import app.outbox.notify
import app.security
from app.core.runtime import Feature
from app.modules import discover

FEATURES: list[Feature] = [
    app.db.feature,
    app.security.feature,
    app.jwt.feature,
    app.outbox.feature,
    app.outbox.notify.feature,
    app.mail.jobs.feature,
    app.jobs.feature,
    Feature(commands=("app.processes",)),
]

# Importing these files of all modules registers what they declare.
discover("subscribers", "emails", "tasks")

# Features of your own: import them below this line, and append them: FEATURES.append(app.billing.feature)
