"""Running as several services, all from one package and one image.

With `KAFKA_BOOTSTRAP_SERVERS`, each service is a separate process: `app service auth|api|scheduler|mailer`.
Without it, in development and tests, `app serve` runs all of them in one process.
"""
