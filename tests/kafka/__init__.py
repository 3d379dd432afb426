"""A real Apache Kafka for the tests: started from the jars of Maven Central, on the Java of this machine."""
