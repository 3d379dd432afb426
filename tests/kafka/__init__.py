"""Apache Kafka for the tests, from the JAR files of Maven Central, on the installed Java."""
